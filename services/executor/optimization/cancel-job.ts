import { hasEnded, type Job, type JobOutcome } from './optimization.ts';
import { getJob } from './read-jobs.ts';
import { traceOf } from './run-step.ts';
import { type SettleDeps, settleJob } from './settle-job.ts';

const waitMaxMs = 5_000;
const lookAgainMs = 100;

const cancelledOutcome: JobOutcome = {
  status: 'cancelled',
  fault: { reason: 'CANCELLED', message: 'The job was cancelled' },
};

/** Ends a job early: one that waits at once, one that runs within five seconds. One that has ended is given as it is. Fails with JOB_NOT_FOUND. */
export async function cancelJob(deps: SettleDeps, named: string, signal: AbortSignal): Promise<Job> {
  const { id } = await getJob(deps, named);
  const job = await deps.jobs.cancel(id, cancelledOutcome);
  if (job?.outcome !== undefined && job.status === 'running') {
    await settleJob(deps, {
      job,
      outcome: job.outcome,
      trace: traceOf(job),
      signal: AbortSignal.any([signal, AbortSignal.timeout(waitMaxMs)]),
    }).catch(
      // Whoever keeps house tells the registry when it is there again.
      () => false,
    );
  }
  deps.liveJobs.tell(id);
  const untilMs = performance.now() + waitMaxMs;
  for (;;) {
    const now = await getJob(deps, id);
    if (hasEnded(now) || signal.aborted || performance.now() >= untilMs) return now;
    await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
  }
}
