import { AppError } from '@signet/kit/error/app-error.ts';
import type { LmContext } from './language-model.ts';

const timerMsMax = 2 ** 31 - 1;

/** What ends a call from outside, over all of its attempts: the caller's signal or its deadline, whichever is first. */
export class CallBound {
  readonly #ctx: LmContext;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => this.#end(new AppError('CANCELLED', 'The call was cancelled'));
  #ended: AppError | undefined;
  #interrupt: ((error: AppError) => void) | undefined;

  constructor(ctx: LmContext) {
    this.#ctx = ctx;
    const leftMs = this.leftMs();
    if (ctx.signal?.aborted === true) this.#onAbort();
    else if (leftMs <= 0) this.#onDeadline();
    else {
      ctx.signal?.addEventListener('abort', this.#onAbort);
      if (leftMs < timerMsMax) this.#timer = setTimeout(() => this.#onDeadline(), leftMs);
    }
  }

  /** Milliseconds until the deadline; not positive once it has passed. */
  leftMs(): number {
    return this.#ctx.deadlineMs === undefined ? Number.POSITIVE_INFINITY : this.#ctx.deadlineMs - Date.now();
  }

  /** Throws what ended the call, if something did. */
  check(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  /** Has `interrupt` called, at most once, if the call is ended before the next `watch`. */
  watch(interrupt: (error: AppError) => void): void {
    this.#interrupt = interrupt;
  }

  /** Waits between two attempts; throws early if the call is ended. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      this.watch((error) => {
        clearTimeout(timer);
        reject(error);
      });
    });
  }

  /** Lets go of the signal and the timer; must be called once. */
  release(): void {
    clearTimeout(this.#timer);
    this.#ctx.signal?.removeEventListener('abort', this.#onAbort);
    this.#interrupt = undefined;
  }

  #onDeadline(): void {
    this.#end(new AppError('DEADLINE_EXCEEDED', 'The deadline passed before the language model had answered'));
  }

  #end(error: AppError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#interrupt?.(error);
  }
}
