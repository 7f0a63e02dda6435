import { parseJson } from '@signet/signature/parse-json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from './canonical-json.ts';
import type { Example } from './dataset.ts';
import { createStatisticsGatherer, DistinctCounter } from './statistics.ts';

describe('DistinctCounter', () => {
  it.each([0, 1, 999, 4000])('counts %d texts exactly, however often they come', (count) => {
    const counter = new DistinctCounter();
    for (let round = 0; round < 3; round++) for (let at = 0; at < count; at++) counter.add(`text ${at}`);
    expect(counter.count()).toBe(count);
  });

  it.each([5000, 8001, 50_000, 300_000])('counts %d texts within 5 of 100', (count) => {
    const counter = new DistinctCounter();
    for (let at = 0; at < count; at++) counter.add(`text ${at}`);
    expect(Math.abs(counter.count() - count) / count).toBeLessThan(0.05);
  });
});

it('never tells more different values than there are', () => {
  const gatherer = createStatisticsGatherer(parseSpec('question: str -> answer: str'));
  const rest = { outputs: '{}', sourceExecutionId: null } as Example;
  for (let at = 0; at < 20_002; at++) gatherer.add({ ...rest, inputs: `{"question":"q${at}"}` });
  const [{ filledCount, distinctCount } = { filledCount: 0, distinctCount: 1 }] = gatherer.result().fields;
  expect(distinctCount).toBeLessThanOrEqual(filledCount);
});

describe('canonicalJson', () => {
  const canonical = (text: string): string => canonicalJson(parseJson(text));

  it.each([
    ['{"b":1,"a":[2,{"d":null,"c":true}]}', '{"a":[2,{"c":true,"d":null}],"b":1.0}'],
    ['[1.50, 100, 0, -0.0, 1e3]', '[15e-1, 1E2, 0.00, 0, 1000.0]'],
    ['12345678901234567890123', '12345678901234567890.123e3'],
    ['"\\u0061/"', '"a\\/"'],
  ])('makes one of %s and %s', (a, b) => {
    expect(canonical(a)).toBe(canonical(b));
  });

  it.each([
    ['12345678901234567890123', '12345678901234567890124'],
    ['0.1', '0.10000000000000000001'],
    ['1', '-1'],
    ['10', '1'],
    ['"1"', '1'],
    ['null', '"null"'],
    ['[[1],2]', '[1,[2]]'],
    ['{"a":1,"b":2}', '{"a":2,"b":1}'],
  ])('keeps %s and %s apart', (a, b) => {
    expect(canonical(a)).not.toBe(canonical(b));
  });
});
