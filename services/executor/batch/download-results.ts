import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ExecutionStatus } from '../execution/execution.ts';
import { type BatchItem, type ItemDeps, readItems } from './batch-items.ts';
import { getBatch } from './change-batch.ts';
import { csvResults } from './csv-results.ts';
import { jsonResults } from './json-results.ts';
import { parquetResults } from './parquet-results.ts';
import { type ResultFields, unknownFields } from './result-fields.ts';

/** What downloading needs. */
export type DownloadDeps = ItemDeps & { readonly catalog: Catalog };

/** A piece of a file; the type is said with the first one. */
export type FilePiece = { readonly contentType: string; readonly data: Uint8Array };

/** Writes items as a file, piece by piece. */
export type ResultWriter = (items: AsyncIterable<BatchItem>, fields: ResultFields) => AsyncIterable<Uint8Array>;

const formats: Readonly<Record<string, { readonly contentType: string; readonly write: ResultWriter }>> = {
  ndjson: { contentType: 'application/x-ndjson', write: jsonResults },
  csv: { contentType: 'text/csv; charset=utf-8', write: csvResults },
  parquet: { contentType: 'application/vnd.apache.parquet', write: parquetResults },
};

/** Gives the results of a batch as a file, by index, in memory that does not grow with them. Fails with BATCH_NOT_FOUND and INVALID_REQUEST. */
export async function* downloadResults(
  deps: DownloadDeps,
  input: { readonly batch: string; readonly format: string; readonly status: ExecutionStatus | undefined },
  ctx: CallContext,
): AsyncGenerator<FilePiece, void> {
  const name = input.format === '' ? 'ndjson' : input.format;
  const format = Object.hasOwn(formats, name) ? formats[name] : undefined;
  if (format === undefined) throw invalidField('format', `must be one of ${Object.keys(formats).join(', ')}`);
  const { id, programId, version } = await getBatch(deps, input.batch);
  const fields = await fieldsOf(deps, programId, version, ctx);
  const items = readItems(deps, { batchId: id, fromIndex: 0, status: input.status });
  let { contentType } = format;
  for await (const data of format.write(items, fields)) {
    yield { contentType, data };
    contentType = '';
  }
  // An empty file has a type, too.
  if (contentType !== '') yield { contentType, data: new Uint8Array() };
}

async function fieldsOf(
  deps: DownloadDeps,
  programId: string,
  version: number,
  ctx: CallContext,
): Promise<ResultFields> {
  try {
    const { engineProgram, pipeline } = await deps.catalog.resolve(programId, version, ctx, true);
    const { inputs, outputs } = engineProgram.signature;
    return { inputs, outputs: pipeline === undefined ? outputs : pipeline.outputs };
  } catch (error) {
    // A program that is gone leaves its batches behind.
    if (normalizeError(error).reason.endsWith('_NOT_FOUND')) return unknownFields;
    throw error;
  }
}
