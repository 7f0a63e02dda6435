import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { pause } from '@signet/kit/pause.ts';
import type { LiveJobEvent, LiveJobs } from './live-jobs.ts';
import { hasEnded, type Job, type Trial } from './optimization.ts';
import { getJob } from './read-jobs.ts';
import type { JobStore } from './store.postgres.ts';

/** Something that happened to a job; what is not kept has the sequence of what was kept before it. */
export type JobEvent = { readonly sequence: number } & (
  | { readonly kind: 'job'; readonly job: Job }
  | { readonly kind: 'trial'; readonly trial: Trial }
  | Exclude<LiveJobEvent, { kind: 'changed' }>
);

const lookAgainMs = 500;
const queueMax = 500;
const pageMax = 200;

/**
 * Tells what happens to a job until it has ended, from after a sequence on: its states and candidates, and progress and log while it runs in
 * this process. Fails with JOB_NOT_FOUND and INVALID_REQUEST.
 */
export async function* watchJob(
  deps: { readonly jobs: JobStore; readonly liveJobs: LiveJobs },
  input: { readonly job: string; readonly afterSequence: number },
  ctx: CallContext,
): AsyncGenerator<JobEvent> {
  if (input.afterSequence < 0) throw invalidField('after_sequence', 'must not be negative', 'NEGATIVE');
  let { id, eventSequence } = await getJob(deps, input.job);
  let after = input.afterSequence;
  let shown = after;
  const queue: Exclude<LiveJobEvent, { kind: 'changed' }>[] = [];
  let wake = (): void => {};
  const stop = deps.liveJobs.listen(id, (event) => {
    // Nobody who reads that slowly misses anything but lines of a log.
    if (event.kind !== 'changed' && queue.length < queueMax) queue.push(event);
    wake();
  });
  try {
    for (;;) {
      const news = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const job = await getJob(deps, id);
      eventSequence = job.eventSequence;
      for (const trial of await trialsAfter(deps.jobs, id, after)) {
        after = Math.max(after, trial.sequence);
        yield { kind: 'trial', sequence: trial.sequence, trial };
      }
      for (const event of queue.splice(0)) yield { ...event, sequence: Math.max(after, 1) };
      if (eventSequence > shown) {
        shown = eventSequence;
        after = Math.max(after, eventSequence);
        yield { kind: 'job', sequence: eventSequence, job };
      }
      if (hasEnded(job) || ctx.signal.aborted) return;
      await Promise.race([news, pause(lookAgainMs, ctx.signal)]);
      if (ctx.signal.aborted) return;
    }
  } finally {
    stop();
  }
}

async function trialsAfter(jobs: JobStore, id: string, sequence: number): Promise<Trial[]> {
  const found: Trial[] = [];
  for (let number = 0; ; ) {
    const page = await jobs.trials(id, { number, sequence }, pageMax);
    found.push(...page);
    if (page.length < pageMax) return found.sort((a, b) => a.sequence - b.sequence);
    number = page.at(-1)!.number;
  }
}
