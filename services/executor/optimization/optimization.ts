import { AppError } from '@signet/kit/error/app-error.ts';
import type { Metric } from '../metric/metric.ts';

/** How far a job may be. */
export const jobStatuses = ['queued', 'running', 'completed', 'failed', 'cancelled'] as const;

/** How far a job is. */
export type JobStatus = (typeof jobStatuses)[number];

/** How a job may end. */
export type JobEndStatus = 'completed' | 'failed' | 'cancelled';

/** What a job does now. */
export type JobPhase =
  | 'queued'
  | 'scoring_before'
  | 'optimizing'
  | 'preparing'
  | 'scoring_after'
  | 'finishing'
  // At its end.
  | '';

/** Kinds of optimizers that one process runs; `beacon` is a policy over them. */
export const stepKinds = [
  ...(['labeled_few_shot', 'bootstrap', 'random_search', 'infer_rules', 'copro', 'mipro', 'gepa', 'simba'] as const),
  'custom',
] as const;

/** A kind of optimizers that one process runs. */
export type StepKind = (typeof stepKinds)[number];

/** A kind of optimizers. */
export type OptimizerKind = StepKind | 'beacon';

/** The splits of datasets. */
export type SplitName = 'train' | 'validation' | 'test';

/** Which splits are used for what. */
export type JobSplits = {
  readonly train: readonly SplitName[];
  readonly validation: readonly SplitName[];
  readonly test: readonly SplitName[];
};

/** What a job may spend; 0 means no cap, but for the number of calls and the time, which always have one. */
export type JobBudget = {
  readonly lmCalls: number;
  readonly tokens: number;
  readonly usd: number;
  readonly seconds: number;
};

/** The caps of a budget, by the words that jobs say. */
export type BudgetCap = 'lm_calls' | 'tokens' | 'usd' | 'seconds';

/** What a job has spent. */
export type JobSpend = {
  readonly lmCalls: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Undefined if nothing had a price. */
  readonly usd: number | undefined;
  readonly seconds: number;
  readonly replayed: number;
};

/** Why a job, or an attempt, failed. */
export type JobFault = { readonly reason: string; readonly message: string };

/** How a job is to end: decided and kept first, then told to the registry, then final. */
export type JobOutcome = {
  readonly status: JobEndStatus;
  readonly fault?: JobFault;
  /** What the program's variables are merged with. */
  readonly variables?: Readonly<Record<string, unknown>>;
};

/** A job as it is kept. */
export type Job = {
  readonly id: string;
  readonly programId: string;
  readonly slug: string;
  readonly baseVersion: number;
  /** Empty if none was named, but its kind alone. */
  readonly optimizerId: string;
  readonly kind: OptimizerKind;
  readonly config: Readonly<Record<string, unknown>>;
  readonly datasetId: string;
  readonly datasetVersion: number;
  readonly splits: JobSplits;
  readonly metric: Metric;
  readonly budget: JobBudget;
  readonly seed: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: JobStatus;
  readonly phase: JobPhase;
  readonly attempt: number;
  readonly losses: number;
  readonly leaseToken: number;
  readonly cancelRequested: boolean;
  readonly outcome: JobOutcome | undefined;
  readonly spend: JobSpend;
  readonly trialCount: number;
  readonly bestScore: number | undefined;
  readonly scoreBefore: number | undefined;
  readonly scoreAfter: number | undefined;
  readonly evaluationBefore: string;
  readonly evaluationAfter: string;
  readonly resultVersion: number;
  readonly budgetExhausted: BudgetCap | '';
  readonly fault: JobFault | undefined;
  /** Of the newest event of it. */
  readonly eventSequence: number;
  /** Of the newest change of what stands here; candidates, progress and log have sequences of their own. */
  readonly changeSequence: number;
  /** The newest word of the optimizer on how far it is. */
  readonly progress: JobProgress | undefined;
  readonly progressSequence: number;
  readonly keyId: string;
  readonly traceparent: string;
  readonly traceId: string;
  readonly createTime: Date;
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
  readonly updateTime: Date;
};

/** What a candidate says of one predictor. */
export type TrialPredictor = { readonly name: string; readonly instructions: string; readonly demoCount: number };

/** A candidate that was tried. */
export type Trial = {
  /** From 1. */
  readonly number: number;
  readonly step: string;
  /** 0 to 1; undefined if it was not measured. */
  readonly score: number | undefined;
  readonly examples: number;
  /** True if those were all that candidates are compared by. */
  readonly isFull: boolean;
  readonly isBest: boolean;
  readonly note: string;
  readonly predictors: readonly TrialPredictor[];
  readonly sequence: number;
  readonly createTime: Date;
};

/** How far an optimizer is, in its words. */
export type JobProgress = {
  readonly phase: string;
  readonly trial: number;
  readonly trials: number;
  readonly message: string;
  /** When it was said, in RFC 3339. */
  readonly at: string;
};

/** A line that an optimizer logged. */
export type LogLine = {
  readonly level: string;
  readonly text: string;
  readonly sequence: number;
  readonly createTime: Date;
};

/** How often a job is tried. */
export const attemptMax = 3;

/** How often a job may lose the process that works on it before it is given up. */
export const lossMax = 50;

/** From how many losses on the loss of the optimizer's own process is its own fault: it takes too much memory, or crashes. */
export const processLossMax = 10;

/** True for a job that has ended. */
export function hasEnded({ status }: Pick<Job, 'status'>): boolean {
  return status !== 'queued' && status !== 'running';
}

/** The error for a job that is not there. */
export function jobNotFound(named: string): AppError {
  const resource = named.slice(0, 100).toWellFormed().replaceAll('\0', '');
  return new AppError('JOB_NOT_FOUND', `There is no optimization job \`${resource}\``, { metadata: { resource } });
}
