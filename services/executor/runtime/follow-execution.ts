import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { DetachedRunner } from '../execution/detached-runner.ts';
import { type Execution, isEnd } from '../execution/execution.ts';
import { cancelledFault, type LeaseStore } from '../execution/lease.postgres.ts';
import type { LiveExecutions } from '../execution/live.ts';
import type { ExecutionStore } from '../execution/store.postgres.ts';
import type { OwnedContext, OwnedEnding } from './run-owned.ts';

/** What following an execution needs. */
export type FollowDeps = {
  readonly live: LiveExecutions;
  readonly leases: LeaseStore;
  readonly store: ExecutionStore;
  readonly runner: Pick<DetachedRunner, 'take'>;
};

// Ends are told; this is for the telling that was lost.
const lookAgainMs = 1_000;
const databaseWaitMs = 250;
const settleMs = 4_000;

/**
 * Waits for the end of an execution that is durable, whichever process runs it; one that nobody runs is run here. When the signal ends it
 * (CANCELLED, DEADLINE_EXCEEDED) the execution is ended too, which is waited for up to 4 s. Throws any other reason of an abort.
 */
export async function followExecution(deps: FollowDeps, id: string, ctx: OwnedContext): Promise<OwnedEnding> {
  let endedMs: number | undefined;
  const still = new AbortController();
  for (;;) {
    const signal = endedMs === undefined ? ctx.signal : still.signal;
    const news = deps.live.news(id, lookAgainMs, signal);
    const execution = await findExecution(deps, id, signal);
    if (execution === undefined) throw new AppError('WORKER_LOST', `The execution \`${id}\` was never recorded`);
    if (isEnd(execution.status)) return endingOf(execution);
    if (ctx.signal.aborted) {
      endedMs ??= await end(deps, id, ctx.signal);
      if (Date.now() > endedMs + settleMs) throw ctx.signal.reason;
    } else if (execution.status === 'pending') {
      await deps.runner.take(id).catch(() => undefined);
    }
    await news;
  }
}

/** An execution as it stands, or undefined; a database that is away is waited for. Throws the reason of an abort meanwhile. */
export async function findExecution(
  { live, store }: Pick<FollowDeps, 'live' | 'store'>,
  id: string,
  signal: AbortSignal,
): Promise<Execution | undefined> {
  for (;;) {
    try {
      return await store.get(id);
    } catch (error) {
      const { reason } = normalizeError(error);
      if (reason === 'EXECUTION_NOT_FOUND') return undefined;
      if (reason !== 'DATABASE_UNAVAILABLE') throw error;
      if (signal.aborted) throw signal.reason;
      await live.news(id, databaseWaitMs, signal);
    }
  }
}

async function end({ leases, live }: FollowDeps, id: string, signal: AbortSignal): Promise<number> {
  const reason = signal.reason instanceof AppError ? signal.reason : new AppError('CANCELLED', 'The caller went away');
  if (reason.reason !== 'CANCELLED' && reason.reason !== 'DEADLINE_EXCEEDED') throw reason;
  const running = live.get(id);
  if (running !== undefined) running.abort(reason);
  else await leases.cancel(id, cancelledFault);
  return Date.now();
}

function endingOf(execution: Execution): OwnedEnding {
  const { id, status, outputsJson, error, durationMs, engine, metricsJson } = execution;
  return {
    executionId: id,
    status: status as OwnedEnding['status'],
    outputsJson,
    fault: error,
    durationMs: durationMs ?? 0,
    engine,
    metricsJson,
  };
}
