import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { Split } from '../dataset/datasets.grpc.ts';
import type { RunOptions } from '../execution/execution.ts';

/** Where a batch stands. */
export type BatchStatus = 'loading' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled';

/** True for a state that nothing leaves. */
export function isBatchEnd(status: BatchStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** What was wrong with one row; `line` is the place in a dataset where there are no lines. */
export type BatchFault = {
  readonly line: number;
  readonly column: number;
  readonly field: string;
  readonly reason: string;
  readonly description: string;
};

/** One batch as it stands in the database. */
export type Batch = {
  readonly id: string;
  readonly name: string;
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  readonly status: BatchStatus;
  /** Empty if its items were uploaded. */
  readonly datasetId: string;
  readonly datasetVersion: number;
  readonly splits: readonly Split[];
  readonly itemCount: number;
  readonly completedCount: number;
  readonly failedCount: number;
  readonly cancelledCount: number;
  readonly rejectedCount: number;
  readonly faults: readonly BatchFault[];
  readonly concurrency: number;
  readonly options: RunOptions;
  readonly labels: Readonly<Record<string, string>>;
  readonly errorMessage: string;
  readonly keyId: string;
  /** Items that run in some executor, or did when it was lost. */
  readonly isBusy: boolean;
  readonly createTime: Date;
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
  readonly updateTime: Date;
};

/** How an item stands: not ended, completed, failed, cancelled. */
export type Outcome = '.' | 'c' | 'f' | 'x';

/** How many faults of rows are told of; the others are counted. */
export const faultsMax = 100;

const concurrencyDefault = 32;
const concurrencyMax = 256;
const nameMax = 200;

/** How many items may run at once; 0 means 32. INVALID_REQUEST beyond 256. */
export function concurrencyOf(asked: number): number {
  if (asked < 0 || asked > concurrencyMax) throw invalidField('concurrency', `must be from 1 to ${concurrencyMax}`);
  return asked === 0 ? concurrencyDefault : asked;
}

/** How items are run on one version: what else would choose it for each of them is settled with that. */
export function onVersion(options: RunOptions, version: number): RunOptions {
  const { version_label: _, sticky_key: __, ...rest } = options;
  return { ...rest, version };
}

/** Throws INVALID_REQUEST where items are to be compared with another engine: a batch does not do that. */
export function requireNoShadow({ shadow }: RunOptions): void {
  if (shadow !== undefined) throw invalidField('execution_options.shadow', 'is not taken by batches');
}

/** Throws INVALID_REQUEST for a name that cannot be kept. */
export function requireName(name: string): void {
  if (name.length > nameMax) throw invalidField('name', `has at most ${nameMax} characters`);
  if (!name.isWellFormed() || name.includes('\u0000')) throw invalidField('name', 'the text cannot be stored');
}

/** The error for a batch that is not there. */
export function batchNotFound(id: string): AppError {
  const shown = id.slice(0, 100).toWellFormed();
  return new AppError('BATCH_NOT_FOUND', `There is no batch \`${shown}\``, { metadata: { resource: shown } });
}

/** The error for what a batch cannot do in its state. */
export function stateForbids(status: BatchStatus, event: string): AppError {
  return new AppError('STATE_FORBIDS', `A batch that is ${status} cannot be ${event}`, {
    metadata: { state: status, event },
  });
}
