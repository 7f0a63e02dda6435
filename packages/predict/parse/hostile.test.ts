import { describe, expect, it } from 'vitest';
import type { PromptAdapter } from '../plan/plan.ts';
import { predictorOf, type } from '../test-support/plans.ts';
import { parseReply } from './parse-reply.ts';

const predictor = predictorOf({ a: type('list', type('any')), b: type('str') });
const adapters: readonly PromptAdapter[] = ['chat', 'json'];

// Each makes a text of about this many characters.
const shapes: readonly (readonly [string, (size: number) => string])[] = [
  ['plain text', (size) => 'word '.repeat(size / 5)],
  ['opening braces', (size) => '{'.repeat(size)],
  ['closing braces', (size) => '}'.repeat(size)],
  ['pairs of braces', (size) => '{}'.repeat(size / 2)],
  ['open and closed', (size) => '{'.repeat(size / 2) + '}'.repeat(size / 2)],
  ['brackets', (size) => '['.repeat(size)],
  ['sections', (size) => '[[ ## b ## ]]\nx\n'.repeat(size / 16)],
  [
    'sections of other names',
    (size) => Array.from({ length: size / 24 }, (_, at) => `[[ ## s${at} ## ]]\nx`).join('\n'),
  ],
  ['half headers', (size) => '[[ ## a'.repeat(size / 7)],
  ['indented half headers', (size) => '   [[ ## a ##\n'.repeat(size / 14)],
  ['white space', (size) => `${' '.repeat(size)}x`],
  ['blank lines', (size) => '\n\u2028\r'.repeat(size / 3)],
  ['control characters', (size) => '\u0000\u0007\u001c'.repeat(size / 3)],
  ['quotes', (size) => `"'`.repeat(size / 2)],
  ['slashes', (size) => '/'.repeat(size)],
  ['digits', (size) => '1'.repeat(size)],
  ['a long list', (size) => `[[ ## a ## ]]\n[${'1,'.repeat(size / 2)}1]\n[[ ## b ## ]]\nx`],
  ['a string of escapes', (size) => `[[ ## a ## ]]\n["${'\\u0041'.repeat(size / 6)}"]\n[[ ## b ## ]]\nx`],
  ['half surrogate pairs', (size) => '\ud83d'.repeat(size)],
];

function milliseconds(reply: string, adapter: PromptAdapter): number {
  const began = performance.now();
  parseReply(predictor, adapter, reply);
  return performance.now() - began;
}

describe('hostile replies', () => {
  for (const adapter of adapters) {
    it.each(shapes)(`are read by the ${adapter} adapter in time that grows with their length: %s`, (_name, make) => {
      const [small, large] = [make(375_000), make(3_000_000)];
      milliseconds(small, adapter);
      const quick = Math.min(...[1, 2, 3].map(() => milliseconds(small, adapter)));
      const slow = Math.min(milliseconds(large, adapter), milliseconds(large, adapter));
      // Eight times the text; sixty-four times the time would be its square.
      expect(slow, `${quick.toFixed(1)} ms, then ${slow.toFixed(1)} ms`).toBeLessThan(30 * Math.max(quick, 15));
    });
  }

  it('reads 10,000 sections and keeps the first of each', () => {
    const reply = Array.from({ length: 10_000 }, (_, at) => `[[ ## b ## ]]\n${at}\n[[ ## a ## ]]\n[${at}]`).join('\n');
    const outcome = parseReply(predictor, 'chat', reply);
    expect(outcome.kind === 'value' && outcome.outputs.get('b')).toBe('0');
  });

  it('leaves nesting that Python itself bounds to Python', () => {
    const reply = `[[ ## a ## ]]\n${'['.repeat(100_000)}${']'.repeat(100_000)}\n[[ ## b ## ]]\nx`;
    expect(parseReply(predictor, 'chat', reply).kind).toBe('doubtful');
  });
});
