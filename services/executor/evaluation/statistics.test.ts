import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  relativeWeights,
  signFlipP,
  studentInterval,
  studentT975,
  weightedSpread,
  wilsonInterval,
} from './statistics.ts';
import { summarize } from './summarize.ts';

describe('statistics', () => {
  it.each([
    [1, 12.706204736],
    [2, 4.30265273],
    [3, 3.182446305],
    [5, 2.570581836],
    [10, 2.228138852],
    [30, 2.042272456],
    [100, 1.983971519],
    [10_000, 1.960201239],
  ])('knows Student’s t for %d degrees of freedom', (freedom, value) => {
    expect(studentT975(freedom)).toBeCloseTo(value, 6);
  });

  it.each([
    [0, 10, 0, 0.277533],
    [10, 10, 0.722467, 1],
    [3, 4, 0.300642, 0.954413],
    [81, 263, 0.255289, 0.366191],
  ])('knows Wilson’s interval of %d of %d', (right, count, low, high) => {
    const interval = wilsonInterval(right / count, count);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  it('takes Wilson for right and wrong, Student for anything between, and never leaves 0..1', () => {
    const base = { deviation: 0, effectiveCount: 1, latencyP50Ms: undefined, latencyP95Ms: undefined };
    expect(summarize({ ...base, count: 0, mean: 0, isBinary: true })).toBeUndefined();
    expect(summarize({ ...base, count: 5, effectiveCount: 5, mean: 1, isBinary: true })).toMatchObject({
      ci_method: 'wilson',
      ci_high: 1,
    });
    expect(summarize({ ...base, count: 1, mean: 0.3, isBinary: false })).toMatchObject({ ci_low: 0, ci_high: 1 });
    const some = summarize({ ...base, count: 20, effectiveCount: 20, mean: 0.95, deviation: 0.2, isBinary: false })!;
    expect(some).toMatchObject({ ci_method: 't', ci_high: 1 });
    expect(some.ci_low).toBeCloseTo(0.95 - (2.093024 * 0.2) / Math.sqrt(20), 5);
    expect(studentInterval(0.5, 0, 2)).toEqual({ low: 0.5, high: 0.5 });
  });

  it('weighs values: heavy ones count more, and leave fewer to tell how far values lie apart', () => {
    const { mean, deviation, effectiveCount } = weightedSpread([1, 0, 0.5], [3, 1, 2]);
    expect(mean).toBeCloseTo(4 / 6, 12);
    expect(effectiveCount).toBeCloseTo(36 / 14, 12);
    // Unbiased for weights of importance: by the sum less the part of the squares.
    const squares = 3 * (1 / 3) ** 2 + (2 / 3) ** 2 + 2 * (1 / 6) ** 2;
    expect(deviation).toBeCloseTo(Math.sqrt(squares / (6 - 14 / 6)), 12);
    expect(weightedSpread([0.7], [5])).toEqual({ mean: 0.7, deviation: 0, effectiveCount: 1 });
    expect(weightedSpread([], [])).toEqual({ mean: 0, deviation: 0, effectiveCount: 0 });
    expect(relativeWeights([2, 8, 4])).toEqual([0.25, 1, 0.5]);
  });

  it('gives for equal weights, whatever they are, what it gives for none, to the last digit', () => {
    const score = fc.double({ min: 0, max: 1, noNaN: true });
    const weight = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(score, { minLength: 1, maxLength: 40 }), weight, (values, each) => {
        const count = values.length;
        const mean = values.reduce((sum, value) => sum + value, 0) / count;
        const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
        const deviation = Math.sqrt(squares / Math.max(count - 1, 1));
        const spread = weightedSpread(
          values,
          values.map(() => each),
        );
        expect(spread).toEqual({ mean, deviation, effectiveCount: count });
      }),
    );
  });

  it('tells as much as between one value and all of them, however they weigh', () => {
    const pair = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 1e-6, max: 1e6, noNaN: true }));
    fc.assert(
      fc.property(fc.array(pair, { minLength: 1, maxLength: 40 }), (pairs) => {
        const values = pairs.map(([value]) => value);
        const { mean, deviation, effectiveCount } = weightedSpread(
          values,
          pairs.map(([, weight]) => weight),
        );
        expect(effectiveCount).toBeGreaterThanOrEqual(1 - 1e-9);
        expect(effectiveCount).toBeLessThanOrEqual(pairs.length + 1e-9);
        expect(mean).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
        expect(mean).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        expect(Number.isFinite(deviation)).toBe(true);
      }),
    );
  });

  it('leaves all open where one example outweighs all others', () => {
    const base = { latencyP50Ms: undefined, latencyP95Ms: undefined, count: 20, mean: 0.9, deviation: 0.1 };
    expect(summarize({ ...base, effectiveCount: 1.9, isBinary: false })).toMatchObject({ ci_low: 0, ci_high: 1 });
    const binary = summarize({ ...base, effectiveCount: 1.9, isBinary: true })!;
    expect(binary.ci_low).toBeGreaterThan(0.2);
    expect(binary.effective_count).toBe(1.9);
  });

  it('counts every choice of signs for few differences', () => {
    expect(signFlipP([])).toBe(1);
    expect(signFlipP([0, 0, 0])).toBe(1);
    expect(signFlipP([1])).toBe(1);
    expect(signFlipP([1, 1, 1, 1, 1])).toBe(2 / 32);
    expect(signFlipP([1, 1, 1, 1, -1])).toBe(12 / 32);
    expect(signFlipP([0.1, 0.2, 0.3])).toBe(2 / 8);
  });

  it('draws the same choices each time for many', () => {
    const differences = Array.from({ length: 60 }, (_, at) => (at % 3 === 0 ? -1 : 1));
    const p = signFlipP(differences);
    expect(p).toBe(signFlipP([...differences]));
    // The binomial test of 40 against 20 says 0.0135.
    expect(p).toBeGreaterThan(0.009);
    expect(p).toBeLessThan(0.019);
    expect(signFlipP(differences.map(Math.abs))).toBe(1 / 20_001);
    const even = Array.from({ length: 60 }, (_, at) => (at % 2 === 0 ? 1 : -1));
    expect(signFlipP(even)).toBeGreaterThan(0.9);
  });

  it('gives a probability, and does not care which of the two came first', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { maxLength: 12 }), (differences) => {
        const p = signFlipP(differences);
        expect(p).toBeGreaterThan(0);
        expect(p).toBeLessThanOrEqual(1);
        expect(signFlipP(differences.map((each) => -each))).toBeCloseTo(p, 9);
      }),
      { numRuns: 200 },
    );
  });
});
