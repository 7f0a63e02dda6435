import type { Database } from '../db/pool.ts';
import { JobKeeper } from './job-keeper.ts';
import { JobRunner, type JobRunnerDeps } from './job-runner.ts';
import { LiveJobs } from './live-jobs.ts';
import { createJobCallStore } from './lm-call.postgres.ts';
import type { JobQueue } from './queue.ts';
import type { OptimizationRegistry } from './registry.grpc.ts';
import { createJobStore } from './store.postgres.ts';

/** What optimization keeps for itself, made on a database; `owner` names the process in its leases. */
export function createOptimizationDeps(deps: {
  readonly database: Database;
  readonly owner: string;
  readonly jobQueue: JobQueue;
  readonly optimizations: OptimizationRegistry;
}) {
  const { database, owner, jobQueue, optimizations } = deps;
  return {
    jobs: createJobStore(database, owner),
    jobCalls: createJobCallStore(database),
    liveJobs: new LiveJobs(),
    jobQueue,
    optimizations,
  };
}

/** Works on jobs, `concurrency` at a time, and keeps house for all. Gives what ends both and hands back what runs. */
export async function startOptimizing(deps: JobRunnerDeps, concurrency: number): Promise<() => Promise<void>> {
  const keeper = new JobKeeper(deps);
  const runner = new JobRunner(deps, concurrency);
  keeper.start();
  await runner.start();
  return async () => {
    await Promise.all([runner.close(), keeper.close()]);
  };
}
