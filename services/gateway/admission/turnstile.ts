import { AppError } from '@signet/kit/error/app-error.ts';

/** How much a turnstile lets in. */
export type TurnstileBounds = {
  /** Calls under way at once. */
  readonly callMax: number;
  /** Bytes that the bodies of calls under way may announce; default 256 MiB. */
  readonly bytesMax?: number;
};

/** Gives a place back; once. */
export type Leave = () => void;

/** What is kept free for callers who hold less than their share: an eighth. */
const reservedShare = 1 / 8;
/** The bound never falls below this: some call must get through to find that there is room again. */
const boundMin = 8;
/** What each ended call adds to a bound that had fallen. */
const growth = 0.02;
/** What is left of a bound each time that the process could not keep up. */
const strainedShare = 0.9;
const strainedMin = 256;
const bytesMaxDefault = 268_435_456;

/**
 * Bounds the calls under way, before anything of them is read. Whoever holds more than a fair part is refused first: the last eighth of
 * the places is for callers with less than their share. The bound falls to what the owner behind can take when that says QUEUE_FULL, and
 * while this process lags; it grows again with each call that ends.
 */
export class Turnstile {
  readonly #callMax: number;
  readonly #bytesMax: number;
  readonly #held = new Map<string, number>();
  #bound: number;
  #calls = 0;
  #bytes = 0;

  constructor({ callMax, bytesMax = bytesMaxDefault }: TurnstileBounds) {
    this.#callMax = callMax;
    this.#bytesMax = bytesMax;
    this.#bound = callMax;
  }

  /** Calls that are in. */
  get size(): number {
    return this.#calls;
  }

  /** Calls that may be in at once, now. */
  get bound(): number {
    return Math.floor(this.#bound);
  }

  /** Whether there is a place for a call of a caller, now. */
  hasPlace(caller: string, sizeBytes: number): boolean {
    const bound = this.bound;
    if (this.#calls >= bound) return false;
    if (this.#calls > 0 && this.#bytes + sizeBytes > this.#bytesMax) return false;
    const unreserved = bound - Math.floor(bound * reservedShare);
    if (this.#calls < unreserved) return true;
    const mine = this.#held.get(caller) ?? 0;
    const callers = this.#held.size + (mine === 0 ? 1 : 0);
    return mine < bound / Math.max(callers, 2);
  }

  /** Lets a call of a caller in, undefined if there is no place for it. A call without others is let in whatever its size. */
  enter(caller: string, sizeBytes: number): Leave | undefined {
    if (!this.hasPlace(caller, sizeBytes)) return undefined;
    this.#calls++;
    this.#bytes += sizeBytes;
    this.#held.set(caller, (this.#held.get(caller) ?? 0) + 1);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#leave(caller, sizeBytes);
    };
  }

  /** The owner had no room for a call that is still in: no more are let in than it could take beside that one. */
  full(): void {
    const fitting = Math.max(this.#calls - 1, Math.min(boundMin, this.#callMax));
    this.#bound = Math.min(this.#bound, fitting);
  }

  /** This process cannot keep up: fewer calls are let in, but never less than 256, which bring two cores to their peak. */
  strained(): void {
    this.#bound = Math.min(this.#bound, Math.max(this.#bound * strainedShare, strainedMin));
  }

  #leave(caller: string, sizeBytes: number): void {
    this.#calls--;
    this.#bytes -= sizeBytes;
    const left = this.#held.get(caller)! - 1;
    if (left === 0) this.#held.delete(caller);
    else this.#held.set(caller, left);
    this.#bound = Math.min(this.#bound + growth, this.#callMax);
  }
}

/** The refusal of a call that found no place. Callers are told different times, so that they do not all come back at once. */
export function noPlace(): AppError {
  turn = (turn + 1) % refusals.length;
  return refusals[turn]!;
}

// Made once: an error takes a picture of the stack, which costs more than all else of a refusal.
const refusals = Array.from(
  { length: 16 },
  (_, index) => new AppError('QUEUE_FULL', 'Too many calls are under way', { retryAfterMs: 1000 + index * 60 }),
);
let turn = 0;
