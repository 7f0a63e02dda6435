import type { CallContext } from '@signet/kit/call-context.ts';
import { type Batch, isBatchEnd } from './batch.ts';
import { getBatch } from './change-batch.ts';
import type { BatchStore } from './store.postgres.ts';

/** One thing that happened to a batch; the last one is its end. */
export type BatchEvent = { readonly sequence: number; readonly batch: Batch; readonly isEnd: boolean };

const lookEveryMs = 250;

/** Tells how a batch stands, now and whenever that has changed, until it has ended and nothing of it runs. Fails with BATCH_NOT_FOUND. */
export async function* watchBatch(
  deps: { readonly batches: BatchStore },
  id: string,
  ctx: CallContext,
): AsyncGenerator<BatchEvent, void> {
  let told = '';
  for (let sequence = 1; !ctx.signal.aborted; ) {
    const batch = await getBatch(deps, id);
    const isEnd = isBatchEnd(batch.status) && !batch.isBusy;
    const now = standing(batch);
    if (isEnd || now !== told) yield { sequence: sequence++, batch, isEnd };
    if (isEnd) return;
    told = now;
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}

/** What of a batch changes, as one text. */
export function standing(batch: Batch): string {
  const { status, itemCount, completedCount, failedCount, cancelledCount, concurrency } = batch;
  return [status, itemCount, completedCount, failedCount, cancelledCount, concurrency].join('.');
}
