import { AppError } from '@signet/kit/error/app-error.ts';
import type { RowFault } from '@signet/rows/row-fault.ts';

/** What examples are used for. */
export const splits = ['train', 'validation', 'test'] as const;

/** A use of examples. */
export type Split = (typeof splits)[number];

/** Where examples come from. */
export type ImportSource = 'ndjson' | 'csv' | 'executions' | 'service';

/** How many examples there are of each split. */
export type SplitCounts = { readonly trainCount: number; readonly validationCount: number; readonly testCount: number };

/** A dataset as it is kept. */
export type Dataset = SplitCounts & {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly description: string;
  /** In canonical form. */
  readonly signatureSpec: string;
  readonly signatureId?: string | null;
  /** False coerces values as the signature says it. */
  readonly strictMode: boolean;
  /** 0 until the first import. */
  readonly latestVersion: number;
  readonly exampleCount: number;
  readonly labels: Record<string, string>;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
  readonly deleteTime?: Date | null;
};

/** One state of a dataset; never changes. */
export type DatasetVersion = SplitCounts & {
  readonly datasetId: string;
  readonly version: number;
  readonly exampleCount: number;
  readonly addedCount: number;
  readonly replacedCount: number;
  readonly removedCount: number;
  readonly duplicateCount: number;
  readonly faultyCount: number;
  readonly source: ImportSource;
  readonly createdBy: string;
  readonly note: string;
  readonly createTime: Date;
};

/** One example. */
export type Example = {
  readonly id: string;
  readonly position: number;
  readonly sinceVersion: number;
  readonly split: Split;
  /** JSON text of an object. */
  readonly inputs: string;
  /** JSON text of an object; fields that nobody knows are missing. */
  readonly outputs: string;
  readonly weight: number;
  readonly label: string;
  readonly sourceExecutionId: string | null;
};

/** What an import came to. */
export type ImportResult = {
  /** Undefined if nothing changed. */
  readonly version: DatasetVersion | undefined;
  readonly rowCount: number;
  readonly addedCount: number;
  readonly replacedCount: number;
  readonly duplicateCount: number;
  readonly faultyCount: number;
  /** At most 100. */
  readonly faults: readonly RowFault[];
};

/** The error for a dataset that is not there. */
export function datasetNotFound(named: string): AppError {
  const resource = named.slice(0, 100).toWellFormed().replaceAll('\0', '');
  return new AppError('DATASET_NOT_FOUND', `There is no dataset \`${resource}\``, { metadata: { resource } });
}

/** The error for a version of a dataset that is not there. */
export function datasetVersionNotFound(dataset: string, version: number): AppError {
  return new AppError('VERSION_NOT_FOUND', `The dataset has no version ${version}`, {
    metadata: { resource: `${dataset}/versions/${version}`, version: String(version) },
  });
}
