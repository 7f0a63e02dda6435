import { AppError } from '@signet/kit/error/app-error.ts';
import { describe, expect, it } from 'vitest';
import { BestSoFar, predictorsOf, variablesOf } from './best-so-far.ts';
import { chooseSplits, type GivenJob, readTerms } from './read-request.ts';

const given: GivenJob = {
  ...{ dataset: '', datasetVersion: 0, splits: undefined, metric: undefined, budget: undefined, seed: undefined },
};
const fieldOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error.metadata.field ?? error.fieldViolations[0]?.field ?? error.message;
    throw error;
  }
  return 'nothing';
};
const none = { train: [], validation: [], test: [] };

describe('the terms of a job', () => {
  it('have defaults', () => {
    expect(readTerms(given, {})).toEqual({
      ...{ dataset: '', datasetVersion: 0, splits: none, metric: { kind: 'exact_match' }, seed: 0 },
      budget: { lmCalls: 10_000, tokens: 0, usd: 0, seconds: 21_600 },
    });
  });

  it('are taken from the request first and from the settings of the optimizer then', () => {
    const defaults = {
      ...{ dataset: 'kept', dataset_version: 4, test_splits: ['validation'], seed: 7 },
      ...{ budget: { lm_calls: '9', usd: 0.5 }, metric: { kind: 'METRIC_KIND_F1', expectedField: 'gold' } },
    };
    expect(readTerms(given, defaults)).toEqual({
      ...{ dataset: 'kept', datasetVersion: 4, seed: 7, splits: { ...none, test: ['validation'] } },
      metric: { kind: 'f1', expected_field: 'gold' },
      budget: { lmCalls: 9, tokens: 0, usd: 0.5, seconds: 21_600 },
    });
    const said = { ...given, dataset: 'other', splits: { ...none, test: ['test' as const] }, seed: 0 };
    expect(readTerms(said, defaults)).toMatchObject({
      dataset: 'other',
      datasetVersion: 0,
      seed: 0,
      splits: { test: ['test'] },
    });
  });

  it.each([
    ['budget.lm_calls', { budget: { lm_calls: -1 } }],
    ['budget.lm_calls', { budget: { lm_calls: 1_000_001 } }],
    ['budget.usd', { budget: { usd: 'much' } }],
    ['budget.seconds', { budget: { seconds: 1e9 } }],
    ['budget.patience', { budget: { patience: 1 } }],
    ['metric.kind', { metric: { kind: 'beauty' } }],
    ['metric.weight', { metric: { kind: 'f1', weight: 2 } }],
  ])('refuse %s that cannot be', (field, defaults) => {
    expect(fieldOf(() => readTerms(given, defaults))).toBe(field);
  });

  it('measure on what is not learned from', () => {
    const counts = { train: 8, validation: 4, test: 2 };
    expect(chooseSplits(none, counts)).toEqual({ train: ['train'], validation: ['validation'], test: ['test'] });
    expect(chooseSplits(none, { ...counts, test: 0 })).toMatchObject({ test: ['validation'] });
    expect(chooseSplits(none, { ...counts, validation: 0 })).toMatchObject({ validation: ['train'], test: ['test'] });
    expect(fieldOf(() => chooseSplits(none, { train: 8, validation: 0, test: 0 }))).toBe('splits.test');
    expect(fieldOf(() => chooseSplits(none, { ...counts, train: 0 }))).toBe('splits.train');
    expect(fieldOf(() => chooseSplits({ ...none, test: ['train'] }, counts))).toBe('splits.test');
  });
});

describe('the best so far', () => {
  const state = (instructions: string, demos: number) =>
    JSON.stringify({ signature: { instructions, fields: [] }, demos: Array(demos).fill({}), metadata: {} });

  it('is of those measured on everything, the first of equal ones; a part counts for less', () => {
    const best = new BestSoFar();
    expect(best.candidate).toBeUndefined();
    expect(best.offer({ stateJson: 'a', score: undefined }, false)).toBe(true);
    expect(best.offer({ stateJson: 'b', score: 0.9 }, false)).toBe(true);
    expect(best.offer({ stateJson: 'c', score: 0.5 }, true)).toBe(true);
    expect(best.offer({ stateJson: 'd', score: 0.5 }, true)).toBe(false);
    expect(best.offer({ stateJson: 'e', score: 1 }, false)).toBe(false);
    expect(best.offer({ stateJson: 'f', score: undefined }, false)).toBe(false);
    expect(best.candidate).toMatchObject({ stateJson: 'c', score: 0.5 });
  });

  it('is told by predictor, whatever a process wrote', () => {
    expect(predictorsOf(state('Be short.', 2))).toEqual([{ name: '', instructions: 'Be short.', demoCount: 2 }]);
    const two = `{"react":${state('One', 1)},"extract.predict":${state('Two', 0)},"metadata":{}}`;
    expect(predictorsOf(two).map(({ name }) => name)).toEqual(['react', 'extract.predict']);
    expect(variablesOf(state('x', 1))).toEqual({ instructions: 'x', demo_count: 1 });
    expect(variablesOf(two)).toEqual({
      predictors: {
        react: { instructions: 'One', demo_count: 1 },
        'extract.predict': { instructions: 'Two', demo_count: 0 },
      },
    });
    for (const broken of ['', '[]', '{"a":1}', '{"a":{"signature":null,"demos":3}}']) {
      expect(() => predictorsOf(broken)).not.toThrow();
    }
  });
});
