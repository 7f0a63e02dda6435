import type { Clock } from '@signet/kit/clock.ts';
import { pause } from '@signet/kit/pause.ts';
import { storableText } from '../shadow/storable-text.ts';
import type { ToldProgress } from '../sidecar/optimizer-session.ts';
import type { LiveJobs } from './live-jobs.ts';
import { linesMax, type Said } from './log.postgres.ts';
import type { Job } from './optimization.ts';
import type { JobStore } from './store.postgres.ts';

/** What keeping a log needs. */
export type JobLogDeps = {
  readonly jobs: Pick<JobStore, 'say'>;
  readonly liveJobs: LiveJobs;
  readonly clock: Pick<Clock, 'now'>;
};

const textMax = 2_000;
const levelMax = 20;
const everyMs = 250;

/**
 * What an optimizer says while it works on a job, kept with the job for whoever watches it: a few writes a second, each of all that was said
 * since. While the database is away the newest 1,000 lines wait for it.
 */
export class JobLog {
  readonly #deps: JobLogDeps;
  readonly #job: Pick<Job, 'id' | 'leaseToken'>;
  readonly #closing = new AbortController();
  #lines: Said['lines'][number][] = [];
  #progress: Said['progress'];
  #turn: Promise<void> | undefined;

  constructor(deps: JobLogDeps, job: Pick<Job, 'id' | 'leaseToken'>) {
    this.#deps = deps;
    this.#job = job;
  }

  /** Takes a line, 2,000 characters of it. */
  line(level: string, text: string): void {
    this.#lines.push({
      level: storableText(level.slice(0, levelMax)),
      text: storableText(text.slice(0, textMax)),
      createTime: this.#deps.clock.now(),
    });
    this.#lines.splice(0, this.#lines.length - linesMax);
    this.#wake();
  }

  /** Takes how far the optimizer is; only the newest word of it is kept. */
  progress({ phase, trial, trials, message }: ToldProgress): void {
    const said = (text: string): string => storableText(text.slice(0, textMax));
    const at = this.#deps.clock.now().toISOString();
    this.#progress = { phase: said(phase), trial, trials, message: said(message), at };
    this.#wake();
  }

  /** Takes nothing more; resolves once what was said is kept, or could not be. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#turn;
    await this.#write();
  }

  #wake(): void {
    if (this.#closing.signal.aborted) return;
    this.#turn ??= this.#write().finally(() => {
      this.#turn = undefined;
    });
  }

  async #write(): Promise<void> {
    const { jobs, liveJobs } = this.#deps;
    const { id, leaseToken } = this.#job;
    while (this.#lines.length > 0 || this.#progress !== undefined) {
      const said: Said = { lines: this.#lines.splice(0), progress: this.#progress };
      this.#progress = undefined;
      const isLast = this.#closing.signal.aborted;
      try {
        await jobs.say(id, leaseToken, said);
        liveJobs.tell(id);
      } catch {
        if (isLast) return;
        this.#lines = [...said.lines, ...this.#lines].slice(-linesMax);
        this.#progress ??= said.progress;
      }
      await pause(everyMs, this.#closing.signal);
    }
  }
}
