import { expect, test } from 'vitest';
import { encodeTextArray } from './text-array.ts';

/** Reads the binary form back: length and dimensions as Postgres' own reader wants them. */
function decode(bytes: Buffer): (string | null)[] {
  if (bytes.readInt32BE(0) === 0) {
    expect(bytes).toHaveLength(12);
    return [];
  }
  const count = bytes.readInt32BE(12);
  const cells: (string | null)[] = [];
  let at = 20;
  for (let index = 0; index < count; index++) {
    const length = bytes.readInt32BE(at);
    at += 4;
    cells.push(length < 0 ? null : bytes.toString('utf8', at, at + length));
    at += Math.max(length, 0);
  }
  expect(at).toBe(bytes.length);
  return cells;
}

test.each([
  ['nothing', []],
  ['nothing but nulls', [null, null]],
  [
    'short and long, plain and not',
    ['', 'a', null, 'ä', '語'.repeat(64), 'x'.repeat(64), 'x'.repeat(65), 'ü'.repeat(5_000)],
  ],
  ['text that turns at its end', ['plain until here é', '😀', 'a\u0001b', `${'x'.repeat(63)}é`]],
])('writes %s as it is, and not a byte more', (_what, cells) => {
  expect(decode(encodeTextArray(cells))).toEqual(cells);
});
