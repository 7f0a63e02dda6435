import type { Context } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { isRegistryAway } from '../catalog/catalog.ts';
import type { LiveJobs } from './live-jobs.ts';
import type { Job, JobOutcome } from './optimization.ts';
import type { OptimizationRegistry } from './registry.grpc.ts';
import type { JobStore } from './store.postgres.ts';

/** What ending a job needs. */
export type SettleDeps = {
  readonly jobs: JobStore;
  readonly optimizations: OptimizationRegistry;
  readonly liveJobs: LiveJobs;
  readonly log: Logger;
};

const callMaxMs = 15_000;
const lookAgainMs = 500;

/** A context for what is done for a job, whoever asked for it. */
export function jobContext(signal: AbortSignal, trace: Context, forMs = callMaxMs) {
  return { signal, trace, deadlineMs: Date.now() + forMs };
}

/**
 * Ends a job as was decided: the decision is kept first, then the program goes back to READY with an entry in its history, then the job is
 * final. Each of the three can be done again after a loss. A registry that is away is waited for. False if the job is another's by now.
 */
export async function settleJob(
  deps: SettleDeps,
  { job, outcome, trace, signal }: { job: Job; outcome: JobOutcome; trace: Context; signal: AbortSignal },
): Promise<boolean> {
  const { id, leaseToken } = job;
  if (!(await deps.jobs.change(id, leaseToken, { outcome, phase: 'finishing' }))) return false;
  deps.liveJobs.tell(id);
  const now = (await deps.jobs.get(id)) ?? job;
  await tellRegistry(deps, now, outcome, { trace, signal });
  const isEnded = await deps.jobs.end(id, leaseToken, outcome);
  deps.liveJobs.tell(id);
  return isEnded;
}

async function tellRegistry(
  deps: SettleDeps,
  job: Job,
  outcome: JobOutcome,
  { trace, signal }: { trace: Context; signal: AbortSignal },
): Promise<void> {
  for (;;) {
    if (signal.aborted) throw signal.reason;
    try {
      await finish(deps, job, outcome, trace);
      return;
    } catch (error) {
      const { reason } = normalizeError(error);
      // The program was archived or deleted meanwhile, or is another job's: there is nothing of ours to take back.
      if (reason === 'STATE_FORBIDS' || reason === 'PROGRAM_NOT_FOUND' || reason === 'VERSION_NOT_FOUND') {
        deps.log.warn(
          { job_id: job.id, program_id: job.programId, reason },
          'a job ended that did not hold its program',
        );
        return;
      }
      if (!isRegistryAway(reason)) throw error;
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
    }
  }
}

async function finish(deps: SettleDeps, job: Job, outcome: JobOutcome, trace: Context): Promise<void> {
  // Not the job's own signal: what is decided is told although somebody cancelled it.
  const ctx = () => jobContext(new AbortController().signal, trace);
  let fencingToken: bigint;
  try {
    ({ fencingToken } = await deps.optimizations.begin(job.programId, job.id, job.baseVersion, ctx()));
  } catch (error) {
    // Told already, and only the answer was lost.
    if (error instanceof AppError && error.message === 'The job has ended already') return;
    throw error;
  }
  const isDone = outcome.status === 'completed';
  const version = isDone ? job.resultVersion : 0;
  await deps.optimizations.finish(
    {
      ...{ programId: job.programId, fencingToken, jobId: job.id, version, optimizerId: job.optimizerId },
      history: historyOf(job, outcome),
      scoreBefore: job.scoreBefore,
      scoreAfter: isDone ? job.scoreAfter : undefined,
      variables: isDone ? (outcome.variables ?? {}) : {},
      optimizerState: {
        last_job_id: job.id,
        last_program_id: job.programId,
        last_status: outcome.status,
        last_score_before: job.scoreBefore ?? null,
        last_score_after: job.scoreAfter ?? null,
      },
    },
    ctx(),
  );
}

/** What the history of the program says of a job. */
function historyOf(job: Job, outcome: JobOutcome): Record<string, unknown> {
  const { spend } = job;
  return {
    job_id: job.id,
    status: outcome.status,
    optimizer_type: job.kind,
    optimizer_id: job.optimizerId,
    base_version: job.baseVersion,
    version: outcome.status === 'completed' ? job.resultVersion : 0,
    score_before: job.scoreBefore ?? null,
    score_after: job.scoreAfter ?? null,
    config: job.config,
    variables: outcome.variables ?? {},
    dataset_id: job.datasetId,
    dataset_version: job.datasetVersion,
    trials: job.trialCount,
    budget_exhausted: job.budgetExhausted,
    lm_calls: spend.lmCalls,
    tokens: spend.tokensIn + spend.tokensOut,
    usd: spend.usd ?? null,
    attempts: job.attempt,
    error: outcome.fault === undefined ? null : outcome.fault,
    started_at: job.startTime?.toISOString() ?? null,
    finished_at: new Date().toISOString(),
  };
}
