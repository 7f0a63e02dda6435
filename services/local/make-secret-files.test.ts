import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  forgetPreviousKey,
  makeSecretFiles,
  putSecretFile,
  readSecretFile,
  rotateSecretKey,
  SECRET_FILES,
  type SecretName,
} from './make-secret-files.ts';
import { deriveInternalToken } from './secrets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secrets-'));
  for (const name of ['database', 'internal', 'sealing', 'admin']) mkdirSync(join(folder, name));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const names = Object.keys(SECRET_FILES) as SecretName[];
const previousKey = (): string => readFileSync(join(folder, 'sealing', 'previous'), 'utf8').trim();
const readAll = (): string[] => names.map((name) => readSecretFile(folder, name));

it('makes every secret once, each long enough, and nothing else', () => {
  makeSecretFiles(folder);
  const first = readAll();
  for (const secret of first) expect(secret.length).toBeGreaterThanOrEqual(32);
  expect(new Set(first).size).toBe(names.length);
  makeSecretFiles(folder);
  expect(readAll()).toEqual(first);
  expect(readdirSync(folder, { recursive: true }).length).toBe(names.length + 5);
  expect(previousKey()).toBe('');
});

it('makes a database URL and a token that fit the others', () => {
  makeSecretFiles(folder);
  const url = new URL(readSecretFile(folder, 'database_url'));
  expect([url.host, url.password]).toEqual(['postgres:5432', readSecretFile(folder, 'database_password')]);
  expect(readSecretFile(folder, 'internal_token')).toBe(deriveInternalToken(readSecretFile(folder, 'secret_key')));
});

it('keeps what an operator put in, password with odd characters included', () => {
  putSecretFile(folder, 'database_password', 'p@ss/w:rd #1 which is long');
  makeSecretFiles(folder);
  expect(decodeURIComponent(new URL(readSecretFile(folder, 'database_url')).password)).toBe(
    'p@ss/w:rd #1 which is long',
  );
});

it('never replaces a secret, nor takes an empty one', () => {
  makeSecretFiles(folder);
  const before = readAll();
  for (const name of names) expect(() => putSecretFile(folder, name, 'another')).toThrow(`${name} is there already`);
  expect(() => putSecretFile(folder, 'admin_key', '')).toThrow('empty');
  expect(readAll()).toEqual(before);
});

it('changes the secret key, keeps the one before until it is forgotten, and leaves the other secrets alone', () => {
  makeSecretFiles(folder);
  const before = readAll();
  rotateSecretKey(folder);
  const secretKey = readSecretFile(folder, 'secret_key');
  expect(secretKey.length).toBeGreaterThanOrEqual(32);
  expect(before).toContain(previousKey());
  expect(before).not.toContain(secretKey);
  expect(readAll().filter((secret) => !before.includes(secret))).toEqual([secretKey]);
  expect(() => rotateSecretKey(folder)).toThrow('forget it first');
  expect(before).toContain(previousKey());
  makeSecretFiles(folder);
  expect([readSecretFile(folder, 'secret_key'), before.includes(previousKey())]).toEqual([secretKey, true]);
  forgetPreviousKey(folder);
  expect(previousKey()).toBe('');
  rotateSecretKey(folder);
  expect(previousKey()).toBe(secretKey);
});

it('changes the secret key also where that was cut short, or nobody had made a previous one', () => {
  makeSecretFiles(folder);
  rmSync(join(folder, 'sealing', 'previous'));
  const first = readSecretFile(folder, 'secret_key');
  rotateSecretKey(folder);
  expect(previousKey()).toBe(first);
  const second = readSecretFile(folder, 'secret_key');
  forgetPreviousKey(folder);
  // The previous one is written first: here it ended.
  rmSync(join(folder, 'sealing', 'previous'));
  writeFileSync(join(folder, 'sealing', 'previous'), second);
  rotateSecretKey(folder);
  expect([previousKey(), readSecretFile(folder, 'secret_key') === second]).toEqual([second, false]);
});

it('lets nobody write to a secret', () => {
  makeSecretFiles(folder);
  rotateSecretKey(folder);
  for (const path of Object.values(SECRET_FILES)) expect(statSync(join(folder, path)).mode & 0o222).toBe(0);
});
