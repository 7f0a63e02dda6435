import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { MeteredLm } from './metered-lm.ts';
import { attemptMax, type Job, type JobFault, processLossMax } from './optimization.ts';
import type { JobQueue } from './queue.ts';
import { leaseLost, traceOf } from './run-step.ts';
import { settleJob } from './settle-job.ts';
import { mayPass, type WorkDeps, workOnJob } from './work-on-job.ts';

/** What running jobs needs. */
export type JobRunnerDeps = WorkDeps & { readonly jobQueue: JobQueue };

const renewMs = 1_000;
// The lease holds for ten seconds of the database's clock; what was not heard of for so long is another's.
const silentMaxMs = 9_000;

/** Works on the jobs that the queue delivers, a bounded number at a time, each under a lease. */
export class JobRunner {
  readonly #deps: JobRunnerDeps;
  readonly #concurrency: number;
  readonly #running = new Map<string, { readonly stop: AbortController; readonly done: Promise<void> }>();
  #isClosed = false;

  constructor(deps: JobRunnerDeps, concurrency: number) {
    this.#deps = deps;
    this.#concurrency = concurrency;
  }

  /** Begins to take jobs; none if the bound is 0. */
  async start(): Promise<void> {
    if (this.#concurrency > 0) await this.#deps.jobQueue.take(this.#concurrency, (jobId) => this.#deliver(jobId));
  }

  /** Takes no more, and hands what runs back for others to go on with at once. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { stop } of this.#running.values())
      stop.abort(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
    await this.#deps.jobQueue.stop();
  }

  async #deliver(jobId: string): Promise<void> {
    if (this.#isClosed) return;
    const job = await this.#deps.jobs.claim(jobId);
    if (job === undefined) return;
    const stop = new AbortController();
    const run = this.#run(job, stop);
    const done = run.then(
      () => {},
      () => {},
    );
    this.#running.set(job.id, { stop, done });
    try {
      await run;
    } finally {
      this.#running.delete(job.id);
    }
  }

  /** Works on a job that is ours. Throws what the queue is to deliver again. */
  async #run(job: Job, stop: AbortController): Promise<void> {
    const { deps, signal, trace } = { deps: this.#deps, signal: stop.signal, trace: traceOf(job) };
    deps.liveJobs.tell(job.id);
    const lease = new JobLease(deps, job, stop);
    try {
      const outcome = await workOnJob(deps, job, lease, { signal, trace });
      await settleJob(deps, { job, outcome, trace, signal });
    } catch (thrown) {
      const error = signal.aborted ? normalizeError(signal.reason) : normalizeError(thrown);
      await this.#end(job, error, thrown);
    } finally {
      await lease.close();
    }
  }

  async #end(job: Job, error: AppError, cause: unknown): Promise<void> {
    const { jobs, log } = this.#deps;
    const { id, leaseToken, programId, attempt } = job;
    const settle = { job, trace: traceOf(job), signal: new AbortController().signal };
    if (error.reason === 'SHUTTING_DOWN') {
      await jobs.release(id, leaseToken, { isResuming: true, isSent: false });
      return;
    }
    if (error.reason === 'CANCELLED') {
      await settleJob(this.#deps, { ...settle, outcome: { status: 'cancelled', fault: faultOf(error) } });
      return;
    }
    // Somebody else has it, or whoever keeps house will give it to somebody: nothing of it is ours to end.
    if (error.message === leaseLost().message || error.reason === 'DATABASE_UNAVAILABLE') {
      log.warn({ job_id: id, reason: error.reason }, 'a job was left to others');
      return;
    }
    const fault = faultOf(error);
    if (error.reason === 'WORKER_LOST' && job.losses + 1 < processLossMax) {
      log.warn({ job_id: id, losses: job.losses + 1 }, fault.message);
      await jobs.release(id, leaseToken, { isResuming: true, isSent: false, isLoss: true });
      return;
    }
    log.error(
      { job_id: id, attempt, reason: fault.reason, err: cause },
      `Optimization failed for program ${programId}`,
    );
    if (attempt < attemptMax && mayPass(error)) {
      await jobs.change(id, leaseToken, { fault });
      await jobs.release(id, leaseToken, { isResuming: false, isSent: true });
    } else {
      await settleJob(this.#deps, { ...settle, outcome: { status: 'failed', fault } });
      // No attempt is left, or none would help: the queue need not deliver it again.
      if (!mayPass(error)) return;
    }
    throw error;
  }
}

/** A lease that is renewed each second, and hears of a wish to end the job. */
class JobLease {
  readonly #deps: JobRunnerDeps;
  readonly #job: Job;
  readonly #stop: AbortController;
  readonly #timer: NodeJS.Timeout;
  #lm: MeteredLm | undefined;
  #spendingSinceMs: number | undefined;
  #heardMs = performance.now();
  #turn: Promise<void> = Promise.resolve();

  constructor(deps: JobRunnerDeps, job: Job, stop: AbortController) {
    this.#deps = deps;
    this.#job = job;
    this.#stop = stop;
    this.#timer = setInterval(() => this.#renew(), renewMs);
  }

  spending(isSpending: boolean): void {
    if (!isSpending) this.#renew();
    this.#spendingSinceMs = isSpending ? performance.now() : undefined;
  }

  replayedBy(lm: MeteredLm): void {
    this.#lm = lm;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#turn;
  }

  #renew(): void {
    const nowMs = performance.now();
    const spentS = this.#spendingSinceMs === undefined ? 0 : (nowMs - this.#spendingSinceMs) / 1000;
    if (this.#spendingSinceMs !== undefined) this.#spendingSinceMs = nowMs;
    const replayed = this.#lm?.takeReplayed() ?? 0;
    this.#turn = this.#turn.then(() => this.#tell(spentS, replayed));
  }

  async #tell(spentS: number, replayed: number): Promise<void> {
    const { jobs } = this.#deps;
    const { id, leaseToken } = this.#job;
    try {
      const state = await jobs.renew(id, leaseToken, spentS, replayed);
      if (state === undefined) {
        this.#stop.abort(leaseLost());
        return;
      }
      this.#heardMs = performance.now();
      if (state.cancelRequested) this.#stop.abort(new AppError('CANCELLED', 'The job was cancelled'));
    } catch {
      if (performance.now() - this.#heardMs > silentMaxMs) this.#stop.abort(leaseLost());
    }
  }
}

function faultOf({ reason, message }: AppError): JobFault {
  return { reason, message: message.slice(0, 4_000).toWellFormed().replaceAll('\0', '') };
}
