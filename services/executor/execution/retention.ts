import type { RetentionStore } from './retention.postgres.ts';

/** What keeping executions for a bounded time needs. */
export type RetentionDeps = { readonly retention: RetentionStore; readonly retentionMs: number | undefined };

const batchSize = 1_000;
// Serving comes first: a sweep takes at most this many turns, the next one goes on.
const batchMax = 200;
const pauseMs = 50;

/** Forgets executions older than the bound, batch by batch; gives back how many. Nothing is forgotten without a bound. */
export async function forgetOldExecutions(
  { retention, retentionMs }: RetentionDeps,
  isStopping: () => boolean,
): Promise<number> {
  if (retentionMs === undefined) return 0;
  let total = 0;
  for (let batch = 0; batch < batchMax && !isStopping(); batch += 1) {
    const count = await retention.forget(retentionMs, batchSize);
    total += count;
    if (count < batchSize) break;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return total;
}
