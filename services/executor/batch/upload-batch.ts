import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { readCell } from '@signet/rows/cell.ts';
import { type CsvRow, readCsv } from '@signet/rows/csv.ts';
import { type JsonRow, readNdjson } from '@signet/rows/ndjson.ts';
import { type BadRow, faultPath } from '@signet/rows/row-fault.ts';
import type { JsonValue } from '@signet/signature/json.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { Batch } from './batch.ts';
import { ChunkBuilder } from './chunk-builder.ts';
import { type BatchInputSettings, type CreateBatchDeps, prepareBatch } from './create-batch.ts';
import type { Loading, LoadStore } from './load-store.postgres.ts';
import { type CheckedRow, checkRow, inputsIn, Rejections } from './row-check.ts';

/** What uploading needs. */
export type UploadDeps = CreateBatchDeps & { readonly loads: LoadStore };

/** A file of inputs. */
export type UploadInput = BatchInputSettings & {
  /** `application/x-ndjson`, which empty means, or `text/csv`. */
  readonly contentType: string;
  /** Its bytes, cut anywhere. */
  readonly content: AsyncIterable<Uint8Array>;
};

type Row = JsonRow | CsvRow | BadRow;

const readers: Readonly<Record<string, (content: AsyncIterable<Uint8Array>) => AsyncIterable<Row>>> = {
  '': readNdjson,
  'application/x-ndjson': readNdjson,
  'application/ndjson': readNdjson,
  'application/jsonl': readNdjson,
  'application/x-jsonlines': readNdjson,
  'text/csv': readCsv,
};

/**
 * Makes a batch of the rows of a file, which is read as it comes. Where rows do not fit and are not to be left out, all of them are looked
 * at, nothing is kept, and INPUT_INVALID tells of the first 100 faults and the number of bad rows. A file that breaks off leaves nothing.
 */
export async function uploadBatch(deps: UploadDeps, input: UploadInput, ctx: CallContext): Promise<Batch> {
  const read = Object.hasOwn(readers, input.contentType) ? readers[input.contentType] : undefined;
  if (read === undefined) throw invalidField('content_type', 'must be application/x-ndjson or text/csv');
  const { batch, plan } = await prepareBatch(deps, input, ctx);
  await deps.batches.create(batch);
  const loading = { id: batch.id, token: 1 };
  try {
    await load(deps, loading, { program: plan.program, rows: read(input.content), keepValidRows: input.keepValidRows });
  } catch (error) {
    await deps.batches.remove(batch.id, loading.token).catch(() => {});
    throw error;
  }
  deps.batchRunner.wake();
  return deps.batches.get(batch.id);
}

type Rows = { readonly program: ServedProgram; readonly rows: AsyncIterable<Row>; readonly keepValidRows: boolean };

async function load(deps: UploadDeps, loading: Loading, { program, rows, keepValidRows }: Rows): Promise<void> {
  const builder = new ChunkBuilder();
  const rejected = new Rejections();
  for await (const row of rows) {
    const checked = checkedRow(program, row);
    if ('faults' in checked) {
      rejected.add(checked.faults);
    } else if (rejected.count === 0 || keepValidRows) {
      const chunk = builder.add(checked.json);
      if (chunk !== undefined && !(await deps.loads.append(loading, chunk))) throw broken();
    }
  }
  if (rejected.count > 0 && !keepValidRows) throw rowsInvalid(rejected);
  const last = builder.take();
  if (last !== undefined && !(await deps.loads.append(loading, last))) throw broken();
  if (!(await deps.loads.finish(loading, rejected))) throw broken();
}

function checkedRow(program: ServedProgram, row: Row): CheckedRow {
  if ('fault' in row) return { faults: [row.fault] };
  if ('object' in row) return checkRow(program, inputsIn(program, row.object), row.line);
  const inputs = new Map<string, JsonValue>();
  const fields = new Map(program.engineProgram.signature.inputs.map((field) => [field.name, field]));
  const faults = [];
  for (const [column, text] of row.cells) {
    const field = fields.get(column);
    const read = field === undefined ? { value: text } : readCell(field, text);
    if ('problem' in read) {
      faults.push({ line: row.line, column: 0, field: column, reason: 'TYPE_MISMATCH', description: read.problem });
    } else if (read.value !== undefined) {
      inputs.set(column, read.value);
    }
  }
  return faults.length > 0 ? { faults } : checkRow(program, inputs, row.line);
}

function rowsInvalid({ faults, count }: Rejections): AppError {
  const [first] = faults;
  const what = count === 1 ? '1 row does not fit' : `${count} rows do not fit`;
  const at = first!.field === '' ? '' : `${first!.field}: `;
  return new AppError('INPUT_INVALID', `${what}; line ${first!.line}: ${at}${first!.description}`, {
    metadata: { rejected: String(count), line: String(first!.line) },
    fieldViolations: faults.map((fault) => ({
      field: faultPath(fault),
      reason: fault.reason,
      description: fault.column === 0 ? fault.description : `column ${fault.column}: ${fault.description}`,
    })),
  });
}

function broken(): AppError {
  return new AppError('CANCELLED', 'The batch was cancelled while it was uploaded');
}
