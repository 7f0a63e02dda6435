import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ConfigError, EnvReader, formatAddress, parseAddress } from './env.ts';

it('gathers every fault into one message', () => {
  const env = new EnvReader({ A: 'nonsense', B: '70000', C: 'blue' });
  env.address('A', '127.0.0.1:1');
  env.integer('B', 1, { min: 0, max: 10 });
  env.choice('C', ['red', 'green'] as const, 'red');
  env.required('D');
  expect(() => env.done()).toThrow(ConfigError);
  try {
    env.done();
  } catch (error) {
    expect((error as ConfigError).faults).toEqual([
      'A must be HOST:PORT, such as 127.0.0.1:1',
      'B must be a number from 0 to 10',
      'C must be one of red, green',
      'D (or D_FILE) is not set',
    ]);
  }
});

it('never repeats a value that was given, since it could be a secret', () => {
  const env = new EnvReader({ KEY: 'hunter2-hunter2' });
  env.number('KEY', 1, { min: 0, max: 1 });
  expect(() => env.done()).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hunter2') }));
});

it('reads a secret from the file that NAME_FILE names', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'env-')), 'secret');
  writeFileSync(path, 'from-a-file\n');
  const env = new EnvReader({ TOKEN_FILE: path, LOST_FILE: `${path}.missing` });
  expect(env.required('TOKEN')).toBe('from-a-file');
  env.required('LOST');
  expect(() => env.done()).toThrow(/LOST_FILE: cannot be read \(ENOENT\)/);
});

it('reads hosts with ports, IPv6 in brackets', () => {
  expect(parseAddress('127.0.0.1:0')).toEqual({ host: '127.0.0.1', port: 0 });
  expect(formatAddress(parseAddress('[::1]:8080')!)).toBe('[::1]:8080');
  for (const text of ['', ':1', 'a', 'a:b', 'a:99999', '::1:80', 'a b:1']) expect(parseAddress(text)).toBeUndefined();
});
