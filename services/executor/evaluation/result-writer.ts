import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { ResultRow } from './evaluation.ts';

const triesMax = 30;
const pauseMs = 250;

/** Writes results as they come; those that come while others are being written go out together. */
export class ResultWriter {
  readonly #write: (rows: readonly ResultRow[]) => Promise<void>;
  #rows: ResultRow[] = [];
  #next: Promise<void> | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(write: (rows: readonly ResultRow[]) => Promise<void>) {
    this.#write = write;
  }

  /** Resolves when the result is written. A database that is away for a few seconds is waited for; throws what writing throws. */
  add(row: ResultRow): Promise<void> {
    this.#rows.push(row);
    this.#next ??= this.#after(this.#last);
    return this.#next;
  }

  #after(before: Promise<void>): Promise<void> {
    const written = before
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#insist(this.#rows.splice(0));
      });
    this.#last = written;
    return written;
  }

  // What was paid for is worth some patience.
  async #insist(rows: readonly ResultRow[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#write(rows);
        return;
      } catch (error) {
        if (tries >= triesMax || normalizeError(error).reason !== 'DATABASE_UNAVAILABLE') throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }
}
