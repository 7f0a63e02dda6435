import type { CallContext } from '@signet/kit/call-context.ts';
import { isId } from '@signet/kit/id.ts';
import { type Batch, type BatchStatus, batchNotFound, isBatchEnd, stateForbids } from './batch.ts';
import type { BatchStore } from './store.postgres.ts';

/** What changing a batch's state needs. */
export type ChangeBatchDeps = { readonly batches: BatchStore; readonly batchRunner: { wake(): void } };

const settleMs = 4_000;
const lookAgainMs = 50;

/** Lets no further item begin. Fails with BATCH_NOT_FOUND, and with STATE_FORBIDS unless it runs or is paused. */
export async function pauseBatch(deps: ChangeBatchDeps, id: string): Promise<Batch> {
  return move(deps, id, { from: 'running', to: 'paused', event: 'paused' });
}

/** Goes on with a paused batch. Fails with BATCH_NOT_FOUND, and with STATE_FORBIDS unless it runs or is paused. */
export async function resumeBatch(deps: ChangeBatchDeps, id: string): Promise<Batch> {
  return move(deps, id, { from: 'paused', to: 'running', event: 'resumed' });
}

/** Ends a batch, and waits up to 4 s until what ran of it has ended. One that has ended is given as it is. Fails with BATCH_NOT_FOUND. */
export async function cancelBatch(deps: ChangeBatchDeps, id: string, ctx: CallContext): Promise<Batch> {
  const { status } = await getBatch(deps, id);
  if (isBatchEnd(status)) return deps.batches.get(id);
  await deps.batches.cancel(id);
  deps.batchRunner.wake();
  const untilMs = Date.now() + settleMs;
  for (;;) {
    const batch = await deps.batches.get(id);
    if (!batch.isBusy || Date.now() >= untilMs || ctx.signal.aborted) return batch;
    await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
  }
}

/** Deletes a batch that has ended; its executions stay. Fails with BATCH_NOT_FOUND and STATE_FORBIDS. */
export async function deleteBatch(deps: Pick<ChangeBatchDeps, 'batches'>, id: string): Promise<void> {
  const { status } = await getBatch(deps, id);
  if (!(await deps.batches.remove(id))) throw stateForbids(status, 'deleted');
}

/** Reads a batch. Fails with BATCH_NOT_FOUND. */
export async function getBatch(deps: Pick<ChangeBatchDeps, 'batches'>, id: string): Promise<Batch> {
  if (!isId(id)) throw batchNotFound(id);
  return deps.batches.get(id);
}

type Move = { readonly from: BatchStatus; readonly to: BatchStatus; readonly event: string };

async function move(deps: ChangeBatchDeps, id: string, { from, to, event }: Move): Promise<Batch> {
  let { status } = await getBatch(deps, id);
  while (status !== to && !(await deps.batches.move(id, [from], to))) {
    // Others may have moved it to and fro meanwhile.
    ({ status } = await deps.batches.get(id));
    if (status !== to && status !== from) throw stateForbids(status, event);
  }
  deps.batchRunner.wake();
  return deps.batches.get(id);
}
