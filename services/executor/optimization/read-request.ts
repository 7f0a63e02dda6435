import { invalidField } from '@signet/kit/error/app-error.ts';
import { checkMetric, type Metric, type MetricKind, metricKinds } from '../metric/metric.ts';
import type { JobBudget, JobSplits, SplitName } from './optimization.ts';

/** What a caller said of a job beside its program and optimizer; undefined and empty mean that nothing was said. */
export type GivenJob = {
  readonly dataset: string;
  readonly datasetVersion: number;
  readonly splits: Readonly<Record<keyof JobSplits, readonly SplitName[]>> | undefined;
  readonly metric: Metric | undefined;
  readonly budget: JobBudget | undefined;
  readonly seed: number | undefined;
};

/** What a job is to do, with nothing left open but which splits are there. */
export type JobTerms = {
  /** Empty if none was named. */
  readonly dataset: string;
  readonly datasetVersion: number;
  readonly splits: Readonly<Record<keyof JobSplits, readonly SplitName[]>>;
  readonly metric: Metric;
  readonly budget: JobBudget;
  readonly seed: number;
};

const lmCallsDefault = 10_000;
const lmCallsMax = 1_000_000;
const secondsDefault = 6 * 3_600;
const secondsMax = 20 * 3_600;

/** Joins what a request says with what the optimizer's settings have for what it leaves out. INVALID_REQUEST names what cannot be. */
export function readTerms(given: GivenJob, defaults: Readonly<Record<string, unknown>>): JobTerms {
  const listed = (name: string): readonly SplitName[] => (defaults[name] as readonly SplitName[] | undefined) ?? [];
  const said = given.splits;
  const choose = (of: keyof JobSplits): readonly SplitName[] =>
    said !== undefined && said[of].length > 0 ? said[of] : listed(`${of}_splits`);
  const named = given.dataset !== '';
  if (given.datasetVersion < 0) throw invalidField('dataset_version', 'must not be negative', 'NEGATIVE');
  return {
    dataset: named ? given.dataset : ((defaults.dataset as string | undefined) ?? ''),
    datasetVersion: named ? given.datasetVersion : ((defaults.dataset_version as number | undefined) ?? 0),
    splits: { train: choose('train'), validation: choose('validation'), test: choose('test') },
    metric: checkMetric(given.metric ?? readMetric(defaults.metric)),
    budget: checkBudget(given.budget ?? readBudget(defaults.budget)),
    seed: given.seed ?? (defaults.seed as number | undefined) ?? 0,
  };
}

/** The budget with its defaults. INVALID_REQUEST for a cap out of its range. */
function checkBudget({ lmCalls, tokens, usd, seconds }: JobBudget): JobBudget {
  const within = (name: string, value: number, most: number): void => {
    if (!(value >= 0 && value <= most))
      throw invalidField(`budget.${name}`, `must be from 0 to ${most}`, 'OUT_OF_RANGE');
  };
  within('lm_calls', lmCalls, lmCallsMax);
  within('tokens', tokens, 1_000_000_000_000);
  within('usd', usd, 1_000_000);
  within('seconds', seconds, secondsMax);
  return { tokens, usd, lmCalls: lmCalls || lmCallsDefault, seconds: seconds || secondsDefault };
}

function readBudget(value: unknown): JobBudget {
  const kept = (value ?? {}) as Record<string, unknown>;
  const names = { lm_calls: 'lmCalls', tokens: 'tokens', usd: 'usd', seconds: 'seconds' } as const;
  const budget = { lmCalls: 0, tokens: 0, usd: 0, seconds: 0 };
  for (const [name, cap] of Object.entries(kept)) {
    const key = (Object.keys(names) as (keyof typeof names)[]).find((one) => one === name || names[one] === name);
    if (key === undefined) throw invalidField(`budget.${name.slice(0, 64)}`, 'is no cap', 'UNKNOWN_FIELD');
    const amount = typeof cap === 'string' && /^\d{1,15}$/.test(cap) ? Number(cap) : cap;
    if (typeof amount !== 'number') throw invalidField(`budget.${key}`, 'must be a number');
    budget[names[key]] = amount;
  }
  return budget;
}

// As a request over HTTP has it: short or full words, either spelling of names.
function readMetric(value: unknown): Metric {
  if (value === undefined) return { kind: 'exact_match' };
  const entries = Object.entries(value as Record<string, unknown>).map(([name, one]) => {
    return [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), one] as const;
  });
  const { kind: said, ...rest } = Object.fromEntries(entries);
  const kind = String(said ?? '')
    .toLowerCase()
    .replace(/^metric_kind_/, '');
  if (!metricKinds.includes(kind as MetricKind))
    throw invalidField('metric.kind', 'is not a known value', 'UNKNOWN_VALUE');
  return { ...rest, kind: kind as MetricKind } as Metric;
}

/**
 * Decides which splits are used for what, out of those that have examples. What is measured on must be what the optimizer does not learn from.
 * INVALID_REQUEST if there is nothing to learn from, or nothing to measure on.
 */
export function chooseSplits(asked: JobTerms['splits'], counts: Readonly<Record<SplitName, number>>): JobSplits {
  const filled = (names: readonly SplitName[]): SplitName[] => [...new Set(names)].filter((name) => counts[name] > 0);
  const train = filled(asked.train.length > 0 ? asked.train : ['train']);
  if (train.length === 0) throw invalidField('splits.train', 'there are no examples to learn from', 'EMPTY');
  const rest = (names: readonly SplitName[]): SplitName[] => filled(names).filter((name) => !train.includes(name));
  const validation = rest(asked.validation.length > 0 ? asked.validation : ['validation']);
  const test = asked.test.length > 0 ? filled(asked.test) : rest(counts.test > 0 ? ['test'] : ['validation']);
  const seen = test.find((name) => train.includes(name));
  if (seen !== undefined)
    throw invalidField('splits.test', `${seen} is learned from: measure on other examples`, 'OVERLAP');
  if (test.length === 0) {
    const words = 'there are no examples to measure on: give the dataset a split test or validation';
    throw invalidField('splits.test', words, 'EMPTY');
  }
  return { train, validation: validation.length > 0 ? validation : train, test };
}
