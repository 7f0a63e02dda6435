import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { type JobOutcome, lossMax } from './optimization.ts';
import { beginJob, type OptimizeDeps, sendJob } from './optimize-program.ts';
import { traceOf } from './run-step.ts';
import { jobContext, type SettleDeps, settleJob } from './settle-job.ts';

/** What keeping jobs needs. */
export type KeeperDeps = SettleDeps & Pick<OptimizeDeps, 'jobQueue'>;

const turnMs = 1_000;
const renewEveryS = 15;
const batchMax = 20;

const lostOutcome: JobOutcome = {
  status: 'failed',
  fault: { reason: 'WORKER_LOST', message: 'The processes that worked on the job were lost again and again' },
};

/**
 * Keeps the programs of all jobs OPTIMIZING, gives jobs whose process was lost back to the queue, tells the queue what it did not hear of,
 * and tells the registry how jobs ended whose process died before it could. Any executor does it for all.
 */
export class JobKeeper {
  readonly #deps: KeeperDeps;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> | undefined;
  #isClosed = false;
  #isHealthy = true;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
  }

  /** Begins; looks each second. */
  start(): void {
    this.#timer = setInterval(() => void this.tick(), turnMs);
  }

  /** Stops; resolves when nothing of it is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#turn;
  }

  /** One turn, or the one that is under way. */
  tick(): Promise<void> {
    this.#turn ??= this.#work().finally(() => {
      this.#turn = undefined;
    });
    return this.#turn;
  }

  async #work(): Promise<void> {
    const { jobs, log } = this.#deps;
    try {
      const { again, lost } = await jobs.reap(lossMax, lostOutcome);
      if (again + lost > 0) log.warn({ again, lost }, 'gave jobs back whose process was lost');
      for (const id of await jobs.unsent(batchMax)) await sendJob(this.#deps, id);
      await this.#renew();
      await this.#settle();
      await this.#beginLate();
      this.#isHealthy = true;
    } catch (error) {
      if (this.#isHealthy && !this.#isClosed) {
        log.warn({ reason: normalizeError(error).reason, err: error }, 'could not keep jobs');
      }
      this.#isHealthy = false;
    }
  }

  async #renew(): Promise<void> {
    const due = await this.#deps.jobs.dueRenewals(renewEveryS);
    if (due.length === 0) return;
    // A program that is lost is asked for again by whoever works on the job next.
    await this.#deps.optimizations.renew(due, jobContext(new AbortController().signal, ROOT_CONTEXT));
  }

  async #settle(): Promise<void> {
    for (const job of await this.#deps.jobs.claimDecided(batchMax)) {
      const outcome = job.outcome!;
      await settleJob(this.#deps, { job, outcome, trace: traceOf(job), signal: AbortSignal.timeout(5_000) });
    }
  }

  // Whoever asked for these is gone, answered or not: that the job stands says that it was wanted.
  async #beginLate(): Promise<void> {
    for (const job of await this.#deps.jobs.unheld(batchMax)) {
      try {
        await beginJob(this.#deps, job, jobContext(new AbortController().signal, traceOf(job)));
      } catch (error) {
        // A refused one was forgotten.
        if (!(error instanceof AppError)) throw error;
      }
    }
  }
}
