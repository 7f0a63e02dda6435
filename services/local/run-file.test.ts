import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { claimFolder, isClaimed } from './claim-folder.ts';
import { readRunFile, removeRunFile, writeRunFile } from './run-file.ts';
import { deriveInternalToken, hasAdminKey, makeAdminKey, noteAdminKey, readOrMakeSecret } from './secrets.ts';

let room: string;
beforeEach(() => {
  room = mkdtempSync(join(tmpdir(), 'signet-run-'));
});
afterEach(() => rmSync(room, { recursive: true, force: true }));

it('replaces run.json in one step, for its owner alone, even where a readable one stood', () => {
  const path = join(room, 'run.json');
  writeFileSync(path, '{}');
  chmodSync(path, 0o644);
  writeRunFile(path, { registry: { pid: 1, address: '127.0.0.1:50051' } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(room)).toEqual(['run.json']);
  expect(readRunFile(path)).toEqual({ registry: { pid: 1, address: '127.0.0.1:50051' } });
  removeRunFile(path);
  removeRunFile(path);
  expect(readRunFile(path)).toBeUndefined();
});

it('takes a broken run.json for none', () => {
  writeFileSync(join(room, 'run.json'), '{"registry":');
  expect(readRunFile(join(room, 'run.json'))).toBeUndefined();
});

it('lets one launcher have a data folder, and takes it over from a dead one', () => {
  const release = claimFolder(room);
  expect(isClaimed(room)).toBe(true);
  expect(() => claimFolder(room)).toThrow(
    /^Signet already runs in .* \(process \d+\): stop it, or name another folder/,
  );
  release();
  expect(isClaimed(room)).toBe(false);
  // A number that lives, but belongs to a process that began at another time.
  writeFileSync(join(room, 'launcher'), `${process.pid} 1`);
  claimFolder(room)();
});

it('makes a secret once, readable by its owner alone, and derives one token from it', () => {
  const secret = readOrMakeSecret(room);
  expect(secret.length).toBeGreaterThanOrEqual(43);
  expect(readOrMakeSecret(room)).toBe(secret);
  expect(statSync(join(room, 'secret')).mode & 0o777).toBe(0o600);
  expect(deriveInternalToken(secret)).toMatch(/^[0-9a-f]{64}$/);
  expect(deriveInternalToken(secret)).not.toBe(deriveInternalToken(`${secret}x`));
});

it('makes keys that are taken as they are, and never stores one', () => {
  const key = makeAdminKey();
  expect(key).toMatch(/^sgn_[\x21-\x7e]{28,124}$/);
  expect(makeAdminKey()).not.toBe(key);
  expect(hasAdminKey(room)).toBe(false);
  noteAdminKey(room, key);
  expect(hasAdminKey(room)).toBe(true);
});
