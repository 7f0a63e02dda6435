import { AppError } from '@signet/kit/error/app-error.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { ExecutionFault, ExecutionStatus } from '../execution/execution.ts';
import type { Outcome } from './batch.ts';
import { getBatch } from './change-batch.ts';
import type { ChunkStore, ReadChunk } from './chunk-store.postgres.ts';
import type { ItemExecution, ItemStore } from './item-store.postgres.ts';
import type { BatchStore } from './store.postgres.ts';

/** What reading items needs. */
export type ItemDeps = { readonly batches: BatchStore; readonly chunks: ChunkStore; readonly items: ItemStore };

/** One item as it stands. */
export type BatchItem = {
  readonly index: number;
  readonly executionId: string;
  readonly exampleId: string;
  readonly status: ExecutionStatus;
  readonly inputsJson: string | undefined;
  readonly outputsJson: string | undefined;
  readonly fault: ExecutionFault | undefined;
  readonly durationMs: number;
};

const statusOf: Readonly<Record<Outcome, ExecutionStatus>> = {
  '.': 'pending',
  c: 'completed',
  f: 'failed',
  x: 'cancelled',
};

const outcomesOf: Readonly<Record<ExecutionStatus, readonly Outcome[]>> = {
  pending: ['.'],
  running: ['.'],
  completed: ['.', 'c'],
  failed: ['.', 'f'],
  cancelled: ['.', 'x'],
};

const chunksAtOnce = 4;
// A page ends where its items have as much text as a message may hold.
const charactersMax = 3 * 1024 * 1024;

/** Reads items by index from one on, all or those in a state; what has ended since its chunk was told of is told as its execution stands. */
export async function* readItems(
  deps: Pick<ItemDeps, 'chunks' | 'items'>,
  query: { readonly batchId: string; readonly fromIndex: number; readonly status: ExecutionStatus | undefined },
): AsyncGenerator<BatchItem, void> {
  const { batchId, status } = query;
  const outcomes = status === undefined ? undefined : outcomesOf[status];
  for (let fromIndex = query.fromIndex; ; ) {
    const more = outcomes === undefined ? {} : { outcomes };
    const chunks = await deps.chunks.read({ batchId, fromIndex, limit: chunksAtOnce, ...more });
    for (const chunk of chunks) {
      for (const item of await itemsOf(deps, chunk, outcomes)) {
        if (item.index >= fromIndex && (status === undefined || item.status === status)) yield item;
      }
    }
    const last = chunks.at(-1);
    if (last === undefined || chunks.length < chunksAtOnce) return;
    fromIndex = last.firstIndex + last.executionIds.length;
  }
}

/** A page of items. Fails with BATCH_NOT_FOUND, INVALID_REQUEST and PAGE_TOKEN_INVALID. */
export async function listItems(
  deps: ItemDeps,
  input: {
    readonly batch: string;
    readonly pageSize: number;
    readonly pageToken: string;
    readonly status: ExecutionStatus | undefined;
  },
): Promise<{ readonly items: readonly BatchItem[]; readonly nextPageToken: string }> {
  const limit = pageSize(input.pageSize);
  const query = ['batch items', input.batch, input.status ?? ''];
  const keys = decodePageToken(input.pageToken, query, 1);
  if (keys !== undefined && !/^[0-9]{1,15}$/.test(keys[0]!)) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order');
  }
  const { id } = await getBatch(deps, input.batch);
  const items: BatchItem[] = [];
  let characters = 0;
  const read = { batchId: id, fromIndex: Number(keys?.[0] ?? 0), status: input.status };
  for await (const item of readItems(deps, read)) {
    characters += (item.inputsJson?.length ?? 0) + (item.outputsJson?.length ?? 0);
    if (items.length === limit || (items.length > 0 && characters > charactersMax)) {
      return { items, nextPageToken: encodePageToken(query, [String(item.index)]) };
    }
    items.push(item);
  }
  return { items, nextPageToken: '' };
}

async function itemsOf(
  deps: Pick<ItemDeps, 'items'>,
  chunk: ReadChunk,
  outcomes: readonly Outcome[] | undefined,
): Promise<BatchItem[]> {
  const places = chunk.outcomes.flatMap((outcome, place) =>
    outcomes === undefined || outcomes.includes(outcome) ? [place] : [],
  );
  const executions = await deps.items.executions(places.map((place) => chunk.executionIds[place]!));
  return places.map((place) => itemOf(chunk, place, executions.get(chunk.executionIds[place]!)));
}

function itemOf(chunk: ReadChunk, place: number, execution: ItemExecution | undefined): BatchItem {
  const fault = chunk.faults[place];
  return {
    index: chunk.firstIndex + place,
    executionId: chunk.executionIds[place]!,
    exampleId: chunk.exampleIds[place] ?? '',
    status: execution?.status ?? statusOf[chunk.outcomes[place]!],
    inputsJson: execution?.inputsJson ?? chunk.inputs?.[place],
    outputsJson: execution?.outputsJson,
    fault: execution?.fault ?? (fault && { ...noFault, ...fault }),
    durationMs: execution?.durationMs ?? 0,
  };
}

const noFault: ExecutionFault = {
  reason: 'INTERNAL',
  message: '',
  category: 'engine',
  retryable: false,
  python_type: '',
  field_violations: [],
  traceback: '',
  metadata: {},
};
