import type { Split } from '../dataset/datasets.grpc.ts';
import type { ExecutionFault, ExecutionStatus, RunOptions } from '../execution/execution.ts';
import type { Metric } from '../metric/metric.ts';
import type { Figures } from './summarize.ts';

/** A version of a program measured on a version of a dataset. */
export type Evaluation = {
  readonly id: string;
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  readonly datasetId: string;
  readonly datasetSlug: string;
  readonly datasetVersion: number;
  /** Empty means all. */
  readonly splits: readonly Split[];
  readonly metric: Metric;
  readonly options: RunOptions;
  readonly concurrency: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: ExecutionStatus;
  readonly exampleCount: number;
  readonly resultCount: number;
  readonly errorCount: number;
  /** Of the results so far; undefined while there is none. */
  readonly mean: number | undefined;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** In US dollars; undefined if nothing had a price. */
  readonly cost: number | undefined;
  readonly metricTokens: number;
  readonly metricCost: number | undefined;
  /** What needs all results; undefined until it has ended. */
  readonly figures: Figures | undefined;
  readonly error: ExecutionFault | undefined;
  readonly keyId: string;
  readonly traceId: string;
  readonly traceparent: string;
  readonly cancelRequested: boolean;
  readonly attempts: number;
  readonly createTime: Date;
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
  readonly updateTime: Date;
};

/** The first row of an evaluation. */
export type NewEvaluation = Pick<
  Evaluation,
  | 'id'
  | 'programId'
  | 'slug'
  | 'version'
  | 'datasetId'
  | 'datasetSlug'
  | 'datasetVersion'
  | 'splits'
  | 'metric'
  | 'options'
  | 'concurrency'
  | 'labels'
  | 'exampleCount'
  | 'keyId'
  | 'traceId'
  | 'traceparent'
>;

/** How one example did. */
export type ResultRow = {
  /** Where the example stands in the dataset's version. */
  readonly position: number;
  readonly exampleId: string;
  readonly split: Split;
  /** Empty if it could not be begun. */
  readonly executionId: string;
  readonly score: number;
  /** How much the score counts against others: its example's weight. */
  readonly weight: number;
  readonly feedback: string;
  /** What failed; empty if nothing did. */
  readonly phase: '' | 'execution' | 'metric';
  readonly reason: string;
  readonly message: string;
  readonly durationMs: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly cost: number | undefined;
  readonly metricTokens: number;
  readonly metricCost: number | undefined;
};

/** A result with what its execution was given and answered, where that still stands. */
export type FullResult = ResultRow & {
  readonly inputsJson: string | undefined;
  readonly outputsJson: string | undefined;
};

/** Two results of one example; undefined where one evaluation has none. */
export type ResultPair = {
  readonly exampleId: string;
  readonly weight: number;
  readonly a: ComparedResult | undefined;
  readonly b: ComparedResult | undefined;
};

/** What is compared of a result. */
export type ComparedResult = { readonly score: number; readonly executionId: string; readonly position: number };

/** Options with which an evaluation measures something else than what callers get. */
export const foreignOptions = ['engine', 'lm', 'version', 'version_label', 'shadow'] as const;

/** How long a lease on an evaluation holds; its owner renews it each `renewMs`. */
export const evaluationLeaseMs = 10_000;

/** How often an owner renews its leases, and hears of wishes to end. */
export const renewMs = 1_000;

/** How long an evaluation may take from its beginning on, all attempts together. */
export const evaluationMaxMs = 6 * 3_600_000;
