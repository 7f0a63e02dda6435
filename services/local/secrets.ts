import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The secret key of a data folder: made at the first start, readable by its owner alone. */
export function readOrMakeSecret(dataDir: string): string {
  const path = join(dataDir, 'secret');
  if (!existsSync(path)) {
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
    renameSync(unfinished, path);
  }
  return readFileSync(path, 'utf8').trim();
}

/** The token that inner servers ask for, derived so that all processes of one secret agree without sharing it. */
export function deriveInternalToken(secretKey: string): string {
  return createHmac('sha256', secretKey).update('internal-token').digest('hex');
}

/** A new administrator's key: `sgn_`, an id, and 240 bits out of the system's generator; 69 printable characters. */
export function makeAdminKey(): string {
  return `sgn_${randomBytes(8).toString('hex')}_${randomBytes(24).toString('hex')}`;
}

/** Whether a data folder's administrator key was already given out. */
export function hasAdminKey(dataDir: string): boolean {
  return existsSync(join(dataDir, 'admin-key'));
}

/** Notes that it was given out: only after the registry holds it, or a failed first start would lose it. The file names it, it does not hold it. */
export function noteAdminKey(dataDir: string, key: string): void {
  writeFileSync(join(dataDir, 'admin-key'), `${key.slice(0, 20)}…\n`, { mode: 0o600 });
}
