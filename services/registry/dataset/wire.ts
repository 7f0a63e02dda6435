import type {
  InternalExample,
  NewExample,
  ResolvedDataset as WireResolved,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import {
  DuplicatePolicy,
  FaultPolicy,
  type SplitRatios,
  type Dataset as WireDataset,
  type Example as WireExample,
  type ImportResult as WireResult,
  ImportSource as WireSource,
  Split as WireSplit,
  type DatasetStatistics as WireStatistics,
  type DatasetVersion as WireVersion,
} from '@signet/proto/gen/signet/v1/dataset.ts';
import { type UpdateDatasetRequest, ExampleFormat as WireFormat } from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { JsonError, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { etagOf } from '../check/etag.ts';
import { type PayloadKind, toPayload } from '../program/payload-wire.ts';
import type { Dataset, DatasetVersion, Example, ImportResult, ImportSource, Split, SplitCounts } from './dataset.ts';
import type { DatasetStatistics } from './get-dataset-statistics.ts';
import { fault, type GivenRow } from './given-example.ts';
import type { ImportOptions } from './import-examples.ts';
import type { ResolvedDataset } from './read-datasets.ts';
import type { DatasetField, UpdateDatasetInput } from './update-dataset.ts';

const wireSplits: Record<Split, WireSplit> = {
  train: WireSplit.SPLIT_TRAIN,
  validation: WireSplit.SPLIT_VALIDATION,
  test: WireSplit.SPLIT_TEST,
};
const wireSources: Record<ImportSource, WireSource> = {
  ndjson: WireSource.IMPORT_SOURCE_NDJSON,
  csv: WireSource.IMPORT_SOURCE_CSV,
  executions: WireSource.IMPORT_SOURCE_EXECUTIONS,
  service: WireSource.IMPORT_SOURCE_SERVICE,
};

/** Writes a dataset. */
export function toWireDataset(dataset: Dataset): WireDataset {
  const { id, slug, name, description, signatureSpec, latestVersion, labels, createTime, updateTime } = dataset;
  return {
    ...{ id, slug, name, description, signatureSpec, latestVersion, labels, createTime, updateTime },
    signatureId: dataset.signatureId ?? '',
    exampleCount: BigInt(dataset.exampleCount),
    splitCounts: toWireCounts(dataset),
    etag: etagOf(dataset),
  };
}

/** Writes a version. */
export function toWireVersion(given: DatasetVersion): WireVersion {
  const { datasetId, version, createdBy, note, createTime } = given;
  return {
    ...{ datasetId, version, createdBy, note, createTime },
    exampleCount: BigInt(given.exampleCount),
    splitCounts: toWireCounts(given),
    addedCount: BigInt(given.addedCount),
    replacedCount: BigInt(given.replacedCount),
    removedCount: BigInt(given.removedCount),
    duplicateCount: BigInt(given.duplicateCount),
    faultyCount: BigInt(given.faultyCount),
    source: wireSources[given.source],
  };
}

/** Writes an example. */
export function toWireExample(example: Example, kind: PayloadKind): WireExample {
  const { id, position, split, weight, label, sinceVersion } = example;
  return {
    ...{ id, weight, label, sinceVersion },
    position: BigInt(position),
    split: wireSplits[split],
    inputs: toPayload(example.inputs, kind),
    outputs: toPayload(example.outputs, kind),
    sourceExecutionId: example.sourceExecutionId ?? '',
  };
}

/** Writes an example for our own processes. */
export function toInternalExample({ id, position, split, inputs, outputs, weight, label }: Example): InternalExample {
  return {
    ...{ id, weight, label },
    position: BigInt(position),
    split: wireSplits[split],
    inputsJson: Buffer.from(inputs),
    outputsJson: Buffer.from(outputs),
  };
}

/** Writes a version of a dataset for our own processes. */
export function toWireResolved({ dataset, version }: ResolvedDataset): WireResolved {
  const { id: datasetId, slug, name, signatureSpec } = dataset;
  const counts = version ?? { exampleCount: 0, trainCount: 0, validationCount: 0, testCount: 0 };
  return {
    ...{ datasetId, slug, name, signatureSpec },
    version: version?.version ?? 0,
    exampleCount: BigInt(counts.exampleCount),
    splitCounts: toWireCounts(counts),
    deleted: Boolean(dataset.deleteTime),
  };
}

/** Writes what an import came to. */
export function toWireResult(result: ImportResult): WireResult {
  return {
    version: result.version === undefined ? undefined : toWireVersion(result.version),
    rowCount: BigInt(result.rowCount),
    addedCount: BigInt(result.addedCount),
    replacedCount: BigInt(result.replacedCount),
    duplicateCount: BigInt(result.duplicateCount),
    faultyCount: BigInt(result.faultyCount),
    faults: result.faults.map((one) => ({ ...one, line: BigInt(one.line) })),
  };
}

/** Writes statistics. */
export function toWireStatistics(given: DatasetStatistics): WireStatistics {
  const { datasetId, version, fields } = given;
  return {
    ...{ datasetId, version },
    exampleCount: BigInt(given.exampleCount),
    splitCounts: toWireCounts(given),
    unlabelledCount: BigInt(given.unlabelledCount),
    fromExecutionsCount: BigInt(given.fromExecutionsCount),
    duplicateCount: BigInt(given.duplicateCount),
    fields: fields.map((field) => ({
      ...field,
      filledCount: BigInt(field.filledCount),
      distinctCount: BigInt(field.distinctCount),
    })),
  };
}

function toWireCounts({ trainCount, validationCount, testCount }: SplitCounts) {
  return { train: BigInt(trainCount), validation: BigInt(validationCount), test: BigInt(testCount) };
}

/** Reads a split; null for a value that nobody knows. */
export function readSplit(wire: WireSplit): Split | undefined | null {
  if (wire === WireSplit.SPLIT_UNSPECIFIED) return undefined;
  return (Object.keys(wireSplits) as Split[]).find((split) => wireSplits[split] === wire) ?? null;
}

/** Reads a format; null for a value that nobody knows. */
export function readFormat(wire: WireFormat): 'ndjson' | 'csv' | null {
  if (wire === WireFormat.EXAMPLE_FORMAT_CSV) return 'csv';
  const isNdjson = wire === WireFormat.EXAMPLE_FORMAT_NDJSON || wire === WireFormat.EXAMPLE_FORMAT_UNSPECIFIED;
  return isNdjson ? 'ndjson' : null;
}

/** Reads where examples come from; what nobody knows is Signet itself. */
export function readSource(wire: WireSource): ImportSource {
  return (Object.keys(wireSources) as ImportSource[]).find((source) => wireSources[source] === wire) ?? 'service';
}

/** What both kinds of imports say. */
export type WireImport = {
  readonly dataset: string;
  readonly split: WireSplit;
  readonly ratios?: SplitRatios | undefined;
  readonly seed: bigint;
  readonly duplicates: DuplicatePolicy;
  readonly onError: FaultPolicy;
  readonly replaceAll: boolean;
  readonly note: string;
};

/** Reads what is to be done with the rows of an import. */
export function readImport(wire: WireImport): Omit<ImportOptions, 'source' | 'columns' | 'bestFirst'> {
  const { dataset, ratios, replaceAll, note } = wire;
  return {
    ...{ dataset, ratios, replaceAll, note },
    split: readSplit(wire.split),
    seed: String(wire.seed),
    replaceDuplicates: isSecond(wire.duplicates, DuplicatePolicy.DUPLICATE_POLICY_REPLACE),
    keepGood: isSecond(wire.onError, FaultPolicy.FAULT_POLICY_KEEP_GOOD),
  };
}

// Of a choice between two: true for the second one, false for the first and for nothing, null for what nobody knows.
function isSecond(value: number, second: number): boolean | null {
  return value === second ? true : value >= 0 && value < second ? false : null;
}

/** Reads a row that one of our own processes adds; what is wrong with it is a fault of the row. */
export function readNewExample(wire: NewExample, line: number): GivenRow {
  const read = (bytes: Uint8Array, side: string): JsonValue | ReturnType<typeof fault> => {
    try {
      return parseJson(Buffer.from(bytes).toString('utf8') || '{}');
    } catch (error) {
      if (error instanceof JsonError) return fault(line, side, error.reason, error.message);
      throw error;
    }
  };
  const inputs = read(wire.inputsJson, 'inputs');
  const outputs = read(wire.outputsJson, 'outputs');
  const faults = [inputs, outputs].filter(isFault);
  if (isFault(inputs) || isFault(outputs)) return { line, faults };
  return {
    line,
    given: {
      ...{ inputs, outputs, label: wire.label, sourceExecutionId: wire.sourceExecutionId },
      split: readSplit(wire.split) ?? (wire.split === WireSplit.SPLIT_UNSPECIFIED ? undefined : 'unknown'),
      weight: wire.weight === 0 ? undefined : parseJson(String(Number.isFinite(wire.weight) ? wire.weight : 0)),
    },
  };
}

function isFault(value: unknown): value is ReturnType<typeof fault> {
  return typeof value === 'object' && value !== null && 'description' in value;
}

/** Reads a request to change a dataset. */
export function readUpdate(request: UpdateDatasetRequest): UpdateDatasetInput {
  const { dataset, etag, updateMask, labels } = request;
  const given: Record<DatasetField, boolean> = {
    name: request.name !== undefined,
    description: request.description !== undefined,
    labels: Object.keys(labels).length > 0,
  };
  return {
    ...{ dataset, etag, updateMask, labels },
    set: (Object.keys(given) as DatasetField[]).filter((field) => given[field]),
    name: request.name ?? '',
    description: request.description ?? '',
  };
}
