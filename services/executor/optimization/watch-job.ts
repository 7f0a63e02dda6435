import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { pause } from '@signet/kit/pause.ts';
import type { LiveJobs } from './live-jobs.ts';
import { hasEnded, type Job, type JobProgress, type LogLine, type Trial } from './optimization.ts';
import { getJob } from './read-jobs.ts';
import type { JobStore } from './store.postgres.ts';

/** Something that happened to a job. */
export type JobEvent = { readonly sequence: number } & (
  | { readonly kind: 'job'; readonly job: Job }
  | { readonly kind: 'trial'; readonly trial: Trial }
  | { readonly kind: 'progress'; readonly progress: JobProgress; readonly job: Job }
  | { readonly kind: 'log'; readonly line: LogLine }
);

const lookAgainMs = 500;
const pageMax = 200;

/**
 * Tells what happens to a job until it has ended, from after a sequence on, in order: its states, candidates, progress and log, whichever
 * process works on it. Fails with JOB_NOT_FOUND and INVALID_REQUEST.
 */
export async function* watchJob(
  deps: { readonly jobs: JobStore; readonly liveJobs: LiveJobs },
  input: { readonly job: string; readonly afterSequence: number },
  ctx: CallContext,
): AsyncGenerator<JobEvent> {
  if (input.afterSequence < 0) throw invalidField('after_sequence', 'must not be negative', 'NEGATIVE');
  const { id } = await getJob(deps, input.job);
  let after = input.afterSequence;
  let wake = (): void => {};
  const stop = deps.liveJobs.listen(id, () => wake());
  try {
    for (;;) {
      const news = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const job = await getJob(deps, id);
      yield* await eventsAfter(deps.jobs, job, after);
      after = Math.max(after, job.eventSequence);
      if (hasEnded(job) || ctx.signal.aborted) return;
      await Promise.race([news, pause(lookAgainMs, ctx.signal)]);
      if (ctx.signal.aborted) return;
    }
  } finally {
    stop();
  }
}

async function eventsAfter(jobs: JobStore, job: Job, after: number): Promise<JobEvent[]> {
  const { id, eventSequence, changeSequence, progress, progressSequence } = job;
  if (eventSequence <= after) return [];
  const events: JobEvent[] = [
    ...(await trialsAfter(jobs, id, after)).map(
      (trial) => ({ kind: 'trial', sequence: trial.sequence, trial }) as const,
    ),
    ...(await jobs.lines(id, after)).map((line) => ({ kind: 'log', sequence: line.sequence, line }) as const),
    { kind: 'job', sequence: changeSequence, job },
  ];
  if (progress !== undefined) events.push({ kind: 'progress', sequence: progressSequence, progress, job });
  // What came after the job was read is told with the job as it will be then.
  return events
    .filter(({ sequence }) => sequence > after && sequence <= eventSequence)
    .sort((a, b) => a.sequence - b.sequence);
}

async function trialsAfter(jobs: JobStore, id: string, sequence: number): Promise<Trial[]> {
  const found: Trial[] = [];
  for (let number = 0; ; ) {
    const page = await jobs.trials(id, { number, sequence }, pageMax);
    found.push(...page);
    if (page.length < pageMax) return found;
    number = page.at(-1)!.number;
  }
}
