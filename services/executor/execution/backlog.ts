import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';

/** What a backlog needs. */
export type BacklogDeps = {
  /** How many detached executions wait, of all processes. */
  readonly count: () => Promise<number>;
  readonly clock: Pick<Clock, 'steadyMs'>;
};

/** How old a count may be. */
const freshMs = 1_000;
/** How old a count may be by which somebody is refused. */
const refusalFreshMs = 200;

/**
 * Bounds the detached executions that wait. It counts seldom and adds what it let in since: with several processes the bound may be
 * passed by what the others let in within a second.
 */
export class Backlog {
  readonly #deps: BacklogDeps;
  readonly #max: number;
  #counted = 0;
  #since = 0;
  #countedMs = Number.NEGATIVE_INFINITY;
  #counting: Promise<void> | undefined;

  constructor(deps: BacklogDeps, max: number) {
    this.#deps = deps;
    this.#max = max;
  }

  /** Lets one more be accepted; QUEUE_FULL if too many wait. Where they cannot be counted, the database refuses by itself. */
  async enter(): Promise<void> {
    const isFull = this.#counted + this.#since >= this.#max;
    const ageMs = this.#deps.clock.steadyMs() - this.#countedMs;
    if (isFull && ageMs > refusalFreshMs) await this.#count();
    else if (ageMs > freshMs) void this.#count();
    if (this.#counted + this.#since >= this.#max) {
      throw new AppError('QUEUE_FULL', `${this.#max} executions wait already`, {
        retryAfterMs: 1000 + Math.floor(Math.random() * 4000),
        metadata: { limit: String(this.#max), queue: 'detached' },
      });
    }
    this.#since++;
  }

  #count(): Promise<void> {
    this.#counting ??= this.#recount().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #recount(): Promise<void> {
    const before = this.#since;
    try {
      this.#counted = await this.#deps.count();
      this.#since -= before;
    } catch {
      // The count stays as it was: whether the row can be written shows by itself.
    }
    this.#countedMs = this.#deps.clock.steadyMs();
  }
}
