import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { deriveInternalToken, makeAdminKey } from './secrets.ts';

/** The secrets of a deployment in containers: each its own file, in the folder of those who may read it. */
export const SECRET_FILES = {
  database_password: 'database/password',
  database_url: 'database/url',
  secret_key: 'sealing/key',
  internal_token: 'internal/token',
  admin_key: 'admin/key',
} as const;

// What the secret key was before; empty except while it is changed.
const PREVIOUS_KEY_FILE = 'sealing/previous';

/** The name of a secret. */
export type SecretName = keyof typeof SECRET_FILES;

/** Makes the secrets that are not there below a folder; what is there stays. Two at once agree on one. */
export function makeSecretFiles(folder: string): void {
  const password = keep(folder, 'database_password', () => randomBytes(24).toString('hex'));
  keep(folder, 'database_url', () => `postgres://signet:${encodeURIComponent(password)}@postgres:5432/signet`);
  const secretKey = keep(folder, 'secret_key', () => randomBytes(32).toString('base64url'));
  write(join(folder, PREVIOUS_KEY_FILE), '');
  keep(folder, 'internal_token', () => deriveInternalToken(secretKey));
  keep(folder, 'admin_key', makeAdminKey);
}

/** Puts a secret of the operator's own in; throws where there is one already, since data may be sealed with it. */
export function putSecretFile(folder: string, name: SecretName, value: string): void {
  if (value === '') throw new Error('the secret is empty');
  if (!write(join(folder, SECRET_FILES[name]), value)) throw new Error(`${name} is there already`);
}

/** Puts a new secret key in the place of the present one, which is kept as the previous one; throws while there is one from before. */
export function rotateSecretKey(folder: string): void {
  makeSecretFiles(folder);
  const secretKey = readSecretFile(folder, 'secret_key');
  const previous = readFileSync(join(folder, PREVIOUS_KEY_FILE), 'utf8').trim();
  // The two are the same where a change was cut short.
  if (previous !== '' && previous !== secretKey) throw new Error('a previous key is there still: forget it first');
  replace(join(folder, PREVIOUS_KEY_FILE), secretKey);
  replace(join(folder, SECRET_FILES.secret_key), randomBytes(32).toString('base64url'));
}

/** Forgets the previous secret key. */
export function forgetPreviousKey(folder: string): void {
  replace(join(folder, PREVIOUS_KEY_FILE), '');
}

/** Reads a secret; throws where it is not there. */
export function readSecretFile(folder: string, name: SecretName): string {
  return readFileSync(join(folder, SECRET_FILES[name]), 'utf8').trim();
}

function keep(folder: string, name: SecretName, make: () => string): string {
  write(join(folder, SECRET_FILES[name]), make());
  return readSecretFile(folder, name);
}

// A link takes its place whole or not at all, and never that of another. Who may read is decided by who mounts the folder:
// the processes there run as different users.
function write(path: string, value: string): boolean {
  const unfinished = writeBeside(path, value);
  try {
    linkSync(unfinished, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(unfinished);
  }
}

function replace(path: string, value: string): void {
  renameSync(writeBeside(path, value), path);
}

function writeBeside(path: string, value: string): string {
  const unfinished = `${path}.${randomBytes(4).toString('hex')}`;
  writeFileSync(unfinished, `${value}\n`, { mode: 0o444 });
  return unfinished;
}

function isSecretName(name: string | undefined): name is SecretName {
  return name !== undefined && Object.hasOwn(SECRET_FILES, name);
}

function run([verb, name]: readonly string[]): void {
  const folder = resolve('/secrets');
  if (verb === 'make' && name === undefined) makeSecretFiles(folder);
  else if (verb === 'show' && isSecretName(name)) process.stdout.write(`${readSecretFile(folder, name)}\n`);
  else if (verb === 'put' && isSecretName(name)) putSecretFile(folder, name, readFileSync(0, 'utf8').trim());
  else if (verb === 'rotate' && name === 'secret_key') rotateSecretKey(folder);
  else if (verb === 'forget' && name === 'secret_key') forgetPreviousKey(folder);
  else {
    const names = Object.keys(SECRET_FILES).join(', ');
    throw new Error(
      `usage: make | show NAME | put NAME < FILE | rotate secret_key | forget secret_key, NAME one of ${names}`,
    );
  }
}

if (import.meta.main) {
  try {
    run(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`secrets: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
