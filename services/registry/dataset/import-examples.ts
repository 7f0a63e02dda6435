import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { faultPath, type RowFault } from '@signet/rows/row-fault.ts';
import { mlTypeNames } from '@signet/signature/types.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { changedBy, type UnitOfWork } from '../repeat/handle.ts';
import { readSpec } from '../signature/signature.ts';
import { createExampleChecker, type ExampleChecker } from './check-example.ts';
import { createSplitChooser, type SplitRule } from './choose-split.ts';
import { datasetNotFound, type ImportResult, type ImportSource } from './dataset.ts';
import { createRowReader, type GivenRow, type RowReader } from './given-example.ts';
import type { PublishStore } from './publish.postgres.ts';
import { getDataset } from './read-datasets.ts';
import type { StagedRow, StagingStore } from './staging.postgres.ts';
import type { DatasetStore } from './store.postgres.ts';

type Stores = { readonly datasets: DatasetStore; readonly staging: StagingStore; readonly publishing: PublishStore };

/** What imports need. */
export type ImportDeps = { readonly work: UnitOfWork<Stores> };

/** What is to be done with the rows of an import. */
export type ImportOptions = SplitRule & {
  readonly dataset: string;
  readonly source: ImportSource;
  /** True: of equal inputs the last row wins. Null for a value that nobody knows. */
  readonly replaceDuplicates: boolean | null;
  /** True keeps good rows where others are bad. Null for a value that nobody knows. */
  readonly keepGood: boolean | null;
  readonly replaceAll: boolean;
  /** True: of equal rows of the import the first is kept, whatever the dataset's own have to expect. */
  readonly bestFirst: boolean;
  readonly columns: Readonly<Record<string, string>>;
  readonly note: string;
};

/** The most rows of an import. */
export const rowsMax = 1_000_000;
const faultsMax = 100;
// What is held before it goes to the database.
const batchRows = 500;
const batchBytes = 1024 * 1024;

/**
 * Reads rows as they come and makes one version of them at their end, or nothing. Memory holds one batch. Fails with DATASET_NOT_FOUND,
 * INVALID_REQUEST for options that do not fit, no rows, too many, and bad ones unless good ones are kept, and WRITE_CONFLICT if the
 * import was given up meanwhile.
 */
export async function importExamples(
  deps: ImportDeps,
  options: ImportOptions,
  rows: (reader: RowReader) => AsyncIterable<GivenRow>,
  ctx: CallContext,
): Promise<ImportResult> {
  const dataset = await deps.work.read((stores) => getDataset(stores, options.dataset));
  const spec = readSpec(dataset.signatureSpec, mlTypeNames, 'signature_spec');
  const checks = new FieldChecks();
  checks.text('note', options.note, { max: 1000 });
  if (options.replaceDuplicates === null) checks.add('duplicates', 'is not a known value', 'UNKNOWN_VALUE');
  if (options.keepGood === null) checks.add('on_error', 'is not a known value', 'UNKNOWN_VALUE');
  const reader = createRowReader(spec, options.columns, checks);
  const check = createExampleChecker(spec, dataset.strictMode, createSplitChooser(options, checks));
  checks.done();
  const importId = newId();
  await deps.work.read(({ staging }) => staging.begin(importId, dataset.id));
  let isKept = false;
  try {
    const staged = await stage(deps, { importId, keepGood: options.keepGood === true, check }, rows(reader));
    requireRows(staged, options);
    const result = await publish(deps, dataset.id, importId, options, staged, ctx);
    isKept = true;
    return result;
  } finally {
    // What cannot be forgotten now is swept later.
    if (!isKept) await deps.work.read(({ staging }) => staging.forget(importId)).catch(() => {});
  }
}

type Staged = {
  readonly stagedCount: number;
  readonly rowCount: number;
  readonly faultyCount: number;
  readonly faults: readonly RowFault[];
};

async function stage(
  deps: ImportDeps,
  order: { readonly importId: string; readonly keepGood: boolean; readonly check: ExampleChecker },
  rows: AsyncIterable<GivenRow>,
): Promise<Staged> {
  const faults: RowFault[] = [];
  let [rowCount, stagedCount, faultyCount] = [0, 0, 0];
  let batch: StagedRow[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    const full = batch;
    batch = [];
    bytes = 0;
    stagedCount += full.length;
    await deps.work.read(({ staging }) => staging.add(order.importId, full));
  };
  for await (const given of rows) {
    if (++rowCount > rowsMax) throw new AppError('INVALID_REQUEST', `an import has at most ${rowsMax} rows`);
    const checked = order.check(given);
    if ('faults' in checked) {
      faultyCount++;
      faults.push(...checked.faults.slice(0, faultsMax - faults.length));
    } else if (order.keepGood || faultyCount === 0) {
      batch.push({ ...checked.row, rowNumber: rowCount });
      bytes += checked.row.inputs.length + checked.row.outputs.length;
      if (batch.length >= batchRows || bytes >= batchBytes) await flush();
    }
  }
  await flush();
  return { stagedCount, rowCount, faultyCount, faults };
}

function requireRows({ rowCount, faultyCount, faults }: Staged, { keepGood, source }: ImportOptions): void {
  if (rowCount === 0) {
    const what = source === 'executions' ? 'There are no executions that fit' : 'There are no rows';
    throw new AppError('INVALID_REQUEST', what, { metadata: { rows: '0' } });
  }
  const [first] = faults;
  if (faultyCount === 0 || keepGood === true || first === undefined) return;
  const where = `line ${first.line}${first.field === '' ? '' : `, ${first.field}`}`;
  const rest = faultyCount === 1 ? '' : ` (${faultyCount} of ${rowCount} rows are bad)`;
  throw new AppError('INVALID_REQUEST', `${where}: ${first.description}${rest}; nothing was kept`, {
    metadata: { rows: String(rowCount), faulty: String(faultyCount), line: String(first.line) },
    fieldViolations: faults.map((one) => ({
      field: faultPath(one),
      reason: one.reason,
      description: one.column > 0 ? `column ${one.column}: ${one.description}` : one.description,
    })),
  });
}

function publish(
  deps: ImportDeps,
  datasetId: string,
  importId: string,
  options: ImportOptions,
  { stagedCount, rowCount, faultyCount, faults }: Staged,
  ctx: CallContext,
): Promise<ImportResult> {
  const by = changedBy('ImportExamples', ctx);
  const { source, note, replaceAll, bestFirst } = options;
  return deps.work.change(async ({ datasets, publishing }) => {
    await publishing.takeTime();
    const dataset = await datasets.lock(datasetId);
    if (dataset === undefined) throw datasetNotFound(options.dataset);
    const replaceDuplicates = options.replaceDuplicates === true;
    const keepsLast = replaceDuplicates && !bestFirst;
    const order = { importId, stagedCount, faultyCount, replaceDuplicates, keepsLast, replaceAll, source, note };
    // A file of bad rows alone must not empty a dataset.
    const allBad = stagedCount === 0;
    const done = await publishing.publish(dataset, { ...order, replaceAll: replaceAll && !allBad, createdBy: by.name });
    const { version: number, ...counts } = done;
    const version = number === 0 ? undefined : await datasets.version(dataset.id, number);
    return { ...counts, version, rowCount, faultyCount, faults };
  }, by);
}
