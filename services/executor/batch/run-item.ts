import { ROOT_CONTEXT } from '@opentelemetry/api';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { ExecutionStatus } from '../execution/execution.ts';
import { type OwnedDeps, runOwned } from '../runtime/run-owned.ts';
import type { Batch, Outcome } from './batch.ts';
import type { WorkItem } from './batch-work.ts';
import type { ItemEnd } from './open-chunk.ts';

const outcomes: Readonly<Partial<Record<ExecutionStatus, Outcome>>> = { completed: 'c', failed: 'f', cancelled: 'x' };

// Why an item cannot begin now and will not be able to later; all else is tried again.
const refusals = new Set([
  'PROGRAM_NOT_FOUND',
  'PROGRAM_NOT_READY',
  'VERSION_NOT_FOUND',
  'LM_NOT_FOUND',
  'LM_NOT_CONFIGURED',
  'INVALID_REQUEST',
]);

/** Runs one item as an execution of its own, under the id that was fixed for it; one that has ended under it already is not run again. */
export async function runItem(deps: OwnedDeps, batch: Batch, item: WorkItem, signal: AbortSignal): Promise<ItemEnd> {
  const { executionId: id, inputsJson, isNew } = item;
  const input = {
    program: batch.programId,
    inputs: { text: inputsJson },
    options: batch.options,
    labels: { ...batch.labels, batch: batch.id },
    metadata: undefined,
  };
  const principal = { keyId: batch.keyId, name: '', role: 'runner' } as const;
  try {
    const ctx = { signal, deadlineMs: undefined, trace: ROOT_CONTEXT, principal };
    const ending = await runOwned(deps, { id, isNew, isQuiet: true, isBulk: true, input }, ctx);
    return { outcome: outcomes[ending.status]! };
  } catch (thrown) {
    const { reason, message } = normalizeError(thrown);
    if (signal.aborted || !refusals.has(reason)) throw thrown;
    return { fault: { reason, message } };
  }
}
