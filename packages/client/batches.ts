import type { Batch, BatchItem } from '@signet/proto/gen/signet/v1/batch.ts';
import type { UploadBatchRequest } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { FaultPolicy, Split } from '@signet/proto/gen/signet/v1/dataset.ts';
import type { CallOptions } from './channel.grpc.ts';
import type { RunOptions } from './execution.ts';
import { type JsonObject, writeJson } from './json.ts';
import { reopened } from './reopen.ts';
import type { Many } from './request-stream.ts';
import type { Services } from './services.ts';
import { toExecutionOptions } from './wire.ts';

/** How a batch is to be run, and what it is called. `timeoutMs` bounds each item. */
export type BatchOptions = Omit<RunOptions, 'keep'> & {
  readonly name?: string;
  /** Items at once, in all executors together, 1 to 256; default 32. */
  readonly concurrency?: number;
  /** Keeps the rows that fit where others do not. */
  readonly keepValidRows?: boolean;
  /** Milliseconds that each item may take. */
  readonly itemTimeoutMs?: number;
  /** Makes repeats one, for 24 h. */
  readonly requestId?: string;
};

/** Inputs to upload: objects, or a file's own bytes as NDJSON or CSV. */
export type BatchRows =
  | { readonly inputs: Many<object> }
  | { readonly ndjson: Many<Uint8Array | string> }
  | { readonly csv: Many<Uint8Array | string> };

/** In which form results are downloaded. */
export type ResultFormat = 'ndjson' | 'csv' | 'parquet';

const splitsByName = { train: Split.SPLIT_TRAIN, validation: Split.SPLIT_VALIDATION, test: Split.SPLIT_TEST } as const;

/** What an example is used for. */
export type SplitName = keyof typeof splitsByName;

const uploadBytes = 64 * 1024;
const PAGE_SIZE = 1_000;

/** Batches that nobody waits for on the line. Every function throws SignetError. */
export class Batches {
  private readonly services: Services;

  constructor(services: Services) {
    this.services = services;
  }

  /** Makes a batch of the examples of a dataset; it comes back while they are still being read. */
  create(
    program: string,
    dataset: string,
    more: BatchOptions & { readonly datasetVersion?: number; readonly splits?: readonly SplitName[] } = {},
    options?: CallOptions,
  ): Promise<Batch> {
    const { datasetVersion = 0 } = more;
    const splits = (more.splits ?? []).map((name) => splitsByName[name]);
    return this.services.batches.createBatch({ program, dataset, datasetVersion, splits, ...settings(more) }, options);
  }

  /** Makes a batch of rows as they come, of any number. Rows that do not fit are refused, all together, unless `keepValidRows`. */
  upload(program: string, rows: BatchRows, more: BatchOptions = {}, options?: CallOptions): Promise<Batch> {
    const contentType = 'csv' in rows ? 'text/csv' : 'application/x-ndjson';
    const first = { program, contentType, ...settings(more) };
    return this.services.batches.uploadBatch(requestsOf(first, rows), options);
  }

  /** Reads one with its counters. */
  get(batch: string, options?: CallOptions): Promise<Batch> {
    return this.services.batches.getBatch({ batch }, options);
  }

  /** Waits until one has ended, over restarts of the service too, and gives it. */
  async wait(batch: string, options?: CallOptions): Promise<Batch> {
    for await (const { event } of reopened(() => this.services.batches.watchBatch({ batch }, options), options)) {
      if (event?.$case === 'result') return event.value;
    }
    return this.get(batch, options);
  }

  /** Lets no further item begin. */
  pause(batch: string, options?: CallOptions): Promise<Batch> {
    return this.services.batches.pauseBatch({ batch }, options);
  }

  /** Goes on with a paused one. */
  resume(batch: string, options?: CallOptions): Promise<Batch> {
    return this.services.batches.resumeBatch({ batch }, options);
  }

  /** Ends one; items that run are cancelled. */
  cancel(batch: string, options?: CallOptions): Promise<Batch> {
    return this.services.batches.cancelBatch({ batch }, options);
  }

  /** All items by index. */
  async *items(batch: string, options?: CallOptions): AsyncGenerator<BatchItem, void> {
    let pageToken = '';
    do {
      const page = await this.services.batches.listBatchItems({ batch, pageSize: PAGE_SIZE, pageToken }, options);
      yield* page.items;
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }

  /** The results as a file, piece by piece. */
  async *results(batch: string, format: ResultFormat = 'ndjson', options?: CallOptions): AsyncGenerator<Buffer, void> {
    for await (const { data } of this.services.batches.downloadBatchResults({ batch, format }, options)) yield data;
  }
}

function settings(more: BatchOptions) {
  const { name = '', concurrency = 0, requestId = '', labels = {}, itemTimeoutMs } = more;
  const { FAULT_POLICY_KEEP_GOOD, FAULT_POLICY_ALL_OR_NOTHING } = FaultPolicy;
  const onError = more.keepValidRows ? FAULT_POLICY_KEEP_GOOD : FAULT_POLICY_ALL_OR_NOTHING;
  const timeout = itemTimeoutMs === undefined ? {} : { timeoutMs: itemTimeoutMs };
  const executionOptions = toExecutionOptions({ ...more, ...timeout });
  return { name, concurrency, onError, requestId, labels: { ...labels }, executionOptions };
}

async function* requestsOf(
  first: Partial<UploadBatchRequest>,
  rows: BatchRows,
): AsyncGenerator<Partial<UploadBatchRequest>, void> {
  yield first;
  for await (const content of gathered(piecesOf(rows))) yield { content };
}

async function* piecesOf(rows: BatchRows): AsyncGenerator<Uint8Array | string, void> {
  if (!('inputs' in rows)) yield* 'csv' in rows ? rows.csv : rows.ndjson;
  else for await (const inputs of rows.inputs) yield `${writeJson(inputs as JsonObject)}\n`;
}

// Lines are small and requests are not free.
async function* gathered(pieces: AsyncIterable<Uint8Array | string>): AsyncGenerator<Buffer, void> {
  let kept: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of pieces) {
    const bytes = Buffer.from(piece as Uint8Array);
    for (let at = 0; at < bytes.length; at += uploadBytes) {
      const part = bytes.subarray(at, at + uploadBytes);
      kept.push(part);
      sizeBytes += part.length;
      if (sizeBytes < uploadBytes) continue;
      yield Buffer.concat(kept);
      kept = [];
      sizeBytes = 0;
    }
  }
  if (sizeBytes > 0) yield Buffer.concat(kept);
}
