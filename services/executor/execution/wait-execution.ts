import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { type Execution, isEnd } from './execution.ts';
import { getExecution } from './get-execution.ts';
import type { LiveExecutions } from './live.ts';
import type { ExecutionStore } from './store.postgres.ts';

/** What waiting needs. */
export type WaitDeps = { readonly store: ExecutionStore; readonly live: LiveExecutions };

const defaultMs = 30_000;
const maxMs = 600_000;
// Ends are told; this is for the telling that was lost.
const lookAgainMs = 1_000;
// The answer is to arrive before the caller's own deadline.
const marginMs = 100;

/** Waits until an execution has ended; gives its present state when `timeoutMs` (0 means 30 s) is over. Fails with EXECUTION_NOT_FOUND. */
export async function waitExecution(
  deps: WaitDeps,
  id: string,
  timeoutMs: number,
  ctx: CallContext,
): Promise<Execution> {
  if (timeoutMs < 0) throw invalidField('timeout_ms', 'must not be negative', 'NEGATIVE');
  const asked = timeoutMs === 0 ? defaultMs : Math.min(timeoutMs, maxMs);
  const endMs = Math.min(Date.now() + asked, (ctx.deadlineMs ?? Number.POSITIVE_INFINITY) - marginMs);
  for (;;) {
    const news = deps.live.news(id, Math.min(lookAgainMs, Math.max(endMs - Date.now(), 0)), ctx.signal);
    const execution = await getExecution(deps, id);
    if (isEnd(execution.status) || Date.now() >= endMs) return execution;
    if (ctx.signal.aborted) throw ctx.signal.reason;
    deps.live.requireNews(id);
    await news;
  }
}
