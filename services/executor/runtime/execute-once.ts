import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { type Execution, isEnd } from '../execution/execution.ts';
import { errorOf } from '../execution/fault.ts';
import type { CallKey, IdempotencyStore } from '../execution/idempotency.postgres.ts';
import type { LiveExecutions } from '../execution/live.ts';
import type { ExecutionStore } from '../execution/store.postgres.ts';
import { type ExecuteInput, requestHash } from './call-input.ts';
import type { ExecuteResult } from './execute-program.ts';

/** What knowing repeated calls needs. */
export type OnceDeps = {
  readonly idempotency: IdempotencyStore;
  readonly store: ExecutionStore;
  readonly live: LiveExecutions;
};

/** A call that may be repeated. */
export type OnceInput = { readonly input: ExecuteInput; readonly method: string; readonly ctx: CallContext };

// A first call whose row has not come for so long died between the two.
const orphanMs = 15_000;

/** Claims the place of a call; gives the execution of the first one if it was made before, after waiting until its row stands. */
export async function claimExecution(
  deps: OnceDeps,
  { input, method, ctx }: OnceInput,
): Promise<{ id: string; first?: Execution }> {
  const key: CallKey = { keyId: ctx.principal?.keyId ?? '', method, requestId: input.requestId };
  for (;;) {
    const id = newId();
    const found = await deps.idempotency.claim(key, requestHash(input), id);
    if (found.isOurs) return { id };
    if (!found.isSameRequest) throw requestIdReused(input.requestId);
    const first = await find(deps, found.executionId);
    if (first !== undefined) return { id: found.executionId, first };
    if (found.ageMs > orphanMs) await deps.idempotency.forget(key, orphanMs);
    if (ctx.signal.aborted) throw ctx.signal.reason;
    await deps.live.news(found.executionId, 50, ctx.signal);
  }
}

/** The error for a request_id that belongs to another request. */
export function requestIdReused(requestId: string): AppError {
  return new AppError('IDEMPOTENCY_KEY_REUSED', 'The request_id was used for another request', {
    metadata: { request_id: requestId },
    fieldViolations: [
      { field: 'request_id', reason: 'IDEMPOTENCY_KEY_REUSED', description: 'was used for another request' },
    ],
  });
}

/** Runs a call, or waits for the first one that was the same and answers what that came to. */
export async function executeOnce(
  deps: OnceDeps,
  once: OnceInput,
  run: (id: string) => Promise<ExecuteResult>,
): Promise<ExecuteResult> {
  const { id, first } = await claimExecution(deps, once);
  if (first === undefined) return run(id);
  const { ctx } = once;
  let execution = first;
  while (!isEnd(execution.status)) {
    if (ctx.signal.aborted) throw ctx.signal.reason;
    await deps.live.news(id, 500, ctx.signal);
    execution = await deps.store.get(id);
  }
  if (execution.error !== undefined) throw errorOf(execution.error, id);
  return {
    executionId: id,
    status: execution.status,
    outputsJson: execution.outputsJson,
    durationMs: execution.durationMs ?? 0,
    traceId: execution.traceId,
    engine: execution.engine,
    programId: execution.programId,
    version: execution.version,
  };
}

async function find(deps: OnceDeps, id: string): Promise<Execution | undefined> {
  try {
    return await deps.store.get(id);
  } catch (error) {
    if (error instanceof AppError && error.reason === 'EXECUTION_NOT_FOUND') return undefined;
    throw error;
  }
}
