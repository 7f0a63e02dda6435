import { describe, expect, it } from 'vitest';
import { isCostly } from './is-costly.ts';

describe('a costly reply', () => {
  it.each([
    ['3 MB of words', 'word '.repeat(600_000)],
    ['3 MB of digits', '1'.repeat(3_000_000)],
    ['10,000 sections', '[[ ## a ## ]]\nx\n'.repeat(10_000)],
    ['60,000 brackets', '['.repeat(60_000)],
    ['nothing', ''],
  ])('is not %s', (_name, reply) => {
    expect(isCostly(reply)).toBe(false);
  });

  it.each([
    ['100,000 sections', '[[ ## a ## ]]\nx\n'.repeat(100_000)],
    ['100,000 numbers', '1,'.repeat(100_000)],
    ['100,000 escapes', '\\u0041'.repeat(100_000)],
    ['100,000 control characters', 'a\u0000'.repeat(100_000)],
    ['100,000 lines of another kind', 'a\u2028'.repeat(100_000)],
    ['100,000 brackets at the end of 3 MB', `${'x'.repeat(3_000_000)}${'['.repeat(100_000)}`],
  ])('is %s', (_name, reply) => {
    expect(isCostly(reply)).toBe(true);
  });
});
