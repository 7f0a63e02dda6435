import { isObject, type JsonObject, jsonFromPlain } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { describe, expect, it } from 'vitest';
import { checkMetric, type Metric } from './metric.ts';
import { createScorer, type Scorer } from './score.ts';
import type { Scored } from './scored.ts';

const signal = new AbortController().signal;

function scorer(metric: Metric): Scorer {
  const lm = { complete: () => Promise.reject(new Error('nobody is asked')) };
  return createScorer({ engines: new Map(), lm, endpoint: undefined, tracer: undefined as never }, checkMetric(metric));
}

function object(value: unknown): JsonObject {
  const made = typeof value === 'string' ? parseJson(value) : jsonFromPlain(value);
  if (!isObject(made)) throw new Error('not an object');
  return made;
}

async function score(metric: Metric, expected: unknown, outputs: unknown): Promise<Scored> {
  return scorer(metric).score({ inputs: new Map(), expected: object(expected), outputs: object(outputs) }, { signal });
}

const cases: [string, Metric, unknown, unknown, number][] = [
  [
    'case, articles, punctuation and spaces',
    { kind: 'exact_match' },
    { a: 'The  Eiffel Tower!' },
    { a: 'eiffel tower' },
    1,
  ],
  ['verbatim', { kind: 'exact_match', verbatim: true }, { a: 'Tower' }, { a: 'tower' }, 0],
  ['any of several', { kind: 'exact_match' }, { a: ['x', 'Y'] }, { a: 'y' }, 1],
  ['none of several', { kind: 'exact_match' }, { a: ['x', 'y'] }, { a: 'z' }, 0],
  ['lists as a whole', { kind: 'exact_match' }, { a: ['x', 'y'] }, { a: ['X', 'y'] }, 1],
  ['a longer list', { kind: 'exact_match' }, { a: ['x'] }, { a: ['x', 'y'] }, 0],
  ['numbers by value', { kind: 'exact_match' }, '{"a": 1}', '{"a": 1.0}', 1],
  ['integers beyond doubles', { kind: 'exact_match' }, '{"a": 9007199254740993}', '{"a": 9007199254740992}', 0],
  ['a number that was written as text', { kind: 'exact_match' }, { a: '42' }, { a: 42 }, 1],
  ['truths', { kind: 'exact_match' }, { a: true }, { a: false }, 0],
  ['objects in any order', { kind: 'exact_match' }, { a: { x: 1, y: 'B' } }, { a: { y: 'b', x: 1 } }, 1],
  ['null', { kind: 'exact_match' }, { a: null }, { a: null }, 1],
  ['another name', { kind: 'exact_match', field: 'b', expected_field: 'a' }, { a: 'x' }, { b: 'x', c: 'y' }, 1],
  ['the only output', { kind: 'exact_match', expected_field: 'a' }, { a: 'x', c: 'z' }, { b: 'x' }, 1],
  ['the field that is expected', { kind: 'exact_match' }, { a: 'x' }, { reasoning: 'y', a: 'x' }, 1],
  ['half of the words', { kind: 'f1' }, { a: 'big red dog' }, { a: 'a red cat' }, 0.4],
  ['the best of several', { kind: 'f1' }, { a: ['nothing', 'red cat'] }, { a: 'the red cat' }, 1],
  ['no words at all', { kind: 'f1' }, { a: 'the' }, { a: 'the' }, 0],
  ['words cut off', { kind: 'f1', threshold: 0.5 }, { a: 'big red dog' }, { a: 'a red cat' }, 0],
  ['words that reach', { kind: 'f1', threshold: 0.4 }, { a: 'big red dog' }, { a: 'a red cat' }, 1],
  ['a part', { kind: 'contains' }, { a: 'Lovelace' }, { a: 'It was Ada LOVELACE, I think' }, 1],
  ['not the part', { kind: 'contains', verbatim: true }, { a: 'Lovelace' }, { a: 'It was Ada LOVELACE' }, 0],
  ['a part of articles alone, as it stands', { kind: 'contains' }, { a: 'the' }, { a: 'nobody' }, 0],
  ['all parts', { kind: 'contains' }, { a: ['ada', '1843'] }, { a: 'Ada, in 1843' }, 1],
  ['one part less', { kind: 'contains' }, { a: ['ada', '1843'] }, { a: 'Ada, in 1842' }, 0],
  ['items of a list', { kind: 'contains' }, { a: ['x', 'z'] }, { a: ['z', 'y', 'X'] }, 1],
  ['a place in JSON text', { kind: 'json_field', path: '/b/1' }, { a: '{"b":[1,2]}' }, { a: { b: [9, 2] } }, 1],
  [
    'a place that is not there',
    { kind: 'json_field', path: '/b/7' },
    { a: { b: [1, 2, 3, 4, 5, 6, 7, 8] } },
    { a: { b: [] } },
    0,
  ],
  [
    'escaped keys',
    { kind: 'json_field', path: '/x~1y/~0' },
    { a: { 'x/y': { '~': 1 } } },
    { a: { 'x/y': { '~': 1 } } },
    1,
  ],
  ['no JSON', { kind: 'json_field', path: '/b' }, { a: { b: 1 } }, { a: '{"b": ' }, 0],
  ['no letter more', { kind: 'json_field', path: '/b' }, { a: { b: 'x' } }, { a: { b: 'X' } }, 0],
  ['the very number', { kind: 'numeric' }, { a: 1.5 }, { a: ' 1.50 ' }, 1],
  ['near enough', { kind: 'numeric', tolerance: { absolute: 0.1, relative: 0 } }, { a: 1.5 }, { a: 1.58 }, 1],
  ['a percent', { kind: 'numeric', tolerance: { absolute: 0, relative: 0.01 } }, { a: -200 }, { a: -202 }, 1],
  ['too far', { kind: 'numeric', tolerance: { absolute: 0, relative: 0.01 } }, { a: 200 }, { a: 203 }, 0],
  ['words', { kind: 'numeric' }, { a: 3 }, { a: 'three' }, 0],
  ['infinity', { kind: 'numeric' }, { a: 3 }, { a: 'Infinity' }, 0],
];

describe('metrics by rule', () => {
  it.each(cases)('scores %s', async (_, metric, expected, outputs, score_) => {
    const scored = await score(metric, expected, outputs);
    expect(scored.error).toBeUndefined();
    expect(scored.score).toBeCloseTo(score_, 12);
  });

  it.each<[string, Metric, unknown, unknown, string]>([
    ['nothing is expected', { kind: 'exact_match' }, {}, { a: 'x' }, 'EXPECTED_MISSING'],
    ['another field is expected', { kind: 'exact_match', field: 'a' }, { b: 'x' }, { a: 'x' }, 'EXPECTED_MISSING'],
    ['nobody says which field', { kind: 'f1' }, { a: 'x', b: 'y' }, { a: 'x', b: 'y' }, 'EXPECTED_MISSING'],
    ['the output is not there', { kind: 'exact_match', field: 'a' }, { a: 'x' }, { b: 'x' }, 'OUTPUT_MISSING'],
    ['an object has no words', { kind: 'f1' }, { a: 'x' }, { a: {} }, 'METRIC_FAILED'],
    ['an object is expected in a text', { kind: 'contains' }, { a: {} }, { a: 'x' }, 'METRIC_FAILED'],
    ['an empty text is expected', { kind: 'contains' }, { a: '' }, { a: 'x' }, 'METRIC_FAILED'],
    ['no number is expected', { kind: 'numeric' }, { a: 'many' }, { a: 3 }, 'METRIC_FAILED'],
    ['nothing is expected there', { kind: 'json_field', path: '/b' }, { a: {} }, { a: { b: 1 } }, 'EXPECTED_MISSING'],
  ])('says why there is no score: %s', async (_, metric, expected, outputs, reason) => {
    const scored = await score(metric, expected, outputs);
    expect(scored).toMatchObject({ score: 0, error: { reason } });
    expect(scored.error?.message).not.toBe('');
  });

  it.each<[string, Metric, string]>([
    ['threshold', { kind: 'f1', threshold: 0 }, 'metric.threshold'],
    ['threshold', { kind: 'f1', threshold: 1.5 }, 'metric.threshold'],
    ['threshold', { kind: 'f1', threshold: Number.NaN }, 'metric.threshold'],
    ['tolerance', { kind: 'numeric', tolerance: { absolute: -1, relative: 0 } }, 'metric.tolerance.absolute'],
    ['tolerance', { kind: 'numeric', tolerance: { absolute: 0, relative: Infinity } }, 'metric.tolerance.relative'],
    ['path', { kind: 'json_field', path: 'a.b' }, 'metric.path'],
    ['path', { kind: 'json_field', path: '/~2' }, 'metric.path'],
    ['time', { kind: 'f1', timeout_ms: 600_001 }, 'metric.timeout_ms'],
    ['name', { kind: 'dspy', name: 'eval' }, 'metric.name'],
    ['name', { kind: 'python' }, 'metric.name'],
    ['what another kind takes', { kind: 'f1', path: '/a' }, 'metric.path'],
    ['what another kind takes', { kind: 'python', name: 'x', field: 'a' }, 'metric.field'],
    ['text', { kind: 'f1', field: 'a\u0000' }, 'metric.field'],
    ['arguments', { kind: 'python', name: 'x', arguments: { a: Number.NaN } }, 'metric.arguments'],
    ['arguments', { kind: 'python', name: 'x', arguments: { a: ['\ud800'] } }, 'metric.arguments.a[0]'],
    ['arguments', { kind: 'python', name: 'x', arguments: { a: 'x'.repeat(20_000) } }, 'metric.arguments'],
    ['length', { kind: 'lm_judge', instructions: 'x'.repeat(10_001) }, 'metric.instructions'],
  ])('refuses a metric that cannot be: %s', (_, metric, field) => {
    expect(() => checkMetric(metric)).toThrow(
      expect.objectContaining({ reason: 'INVALID_REQUEST', metadata: { field } }),
    );
  });
});
