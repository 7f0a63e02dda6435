import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findSidecarPython, whyNoPython } from '../../../test/support/python.ts';
import { f1, normalizeText } from './answer-text.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the comparison with DSPy's metrics is left out: ${missing}`);

const program = `
import json, sys
from dspy.evaluate.metrics import em_score, f1_score, normalize_text
for line in sys.stdin:
    a, b = json.loads(line)
    score = f1_score(a, b) if normalize_text(a) or normalize_text(b) else 0
    print(json.dumps([normalize_text(a), em_score(a, b), float(score)]))
`;

const words = [
  'a',
  'an',
  'the',
  'The',
  'AN',
  'Eiffel',
  'tower',
  'é',
  'e\u0301',
  'thé',
  'naïve',
  'the\u0301',
  "don't",
  'x_the',
  'Straße',
];
const marks = [
  ' ',
  '  ',
  '\t',
  '\n',
  '\u00a0',
  '\u2003',
  '\u001c',
  '\u0085',
  '\ufeff',
  '-',
  '.',
  '¿',
  '—',
  '_',
  '’',
  '3',
  '٣',
  '½',
  '词',
  'Σ',
  'ΟΔΟΣ',
  'İ',
  '😀',
];
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.array(fc.constantFrom(...words, ...marks), { maxLength: 12 }).map((parts) => parts.join('')),
  fc.array(fc.constantFrom(...words), { maxLength: 8 }).map((parts) => parts.join(' ')),
);

describe.skipIf(missing !== undefined)('exact match and F1', () => {
  it('are DSPy’s own, over words, marks and letters of all scripts', () => {
    const pairs = fc.sample(fc.tuple(text, text), { numRuns: 3_000, seed: 20_261 });
    const near = pairs.map(([one]): [string, string] => [one, ` ${one.toUpperCase()}. `]);
    const all = [...pairs, ...near];
    const input = all.map((pair) => JSON.stringify(pair)).join('\n');
    const ran = spawnSync(findSidecarPython()!, ['-c', program], {
      input,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, PYTHONUTF8: '1', DSPY_CACHEDIR: tmpdir() },
    });
    expect(ran.stderr.split('\n').filter((line) => line.includes('Error'))).toEqual([]);
    const told = ran.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as [string, boolean, number]);
    expect(told).toHaveLength(all.length);
    for (const [at, [one, other]] of all.entries()) {
      const ours = [normalizeText(one), normalizeText(one) === normalizeText(other), f1(one, other)];
      expect([one, other, ...ours]).toEqual([one, other, ...told[at]!]);
    }
    expect(told.filter(([, same]) => same).length).toBeGreaterThan(1_000);
    expect(told.filter(([, same, score]) => !same && score > 0).length).toBeGreaterThan(100);
  });
});
