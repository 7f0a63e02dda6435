const minuteMs = 60_000;
// How many entries may be past before the list is cut.
const pastMax = 4_096;

/** Gives calls their time, first come, first served, so that no minute ever holds more of them than allowed. */
export class RequestWindow {
  readonly #perMinute: number;
  #times: number[] = [];

  /** Takes how many calls a minute may hold, at least 1. */
  constructor(perMinute: number) {
    this.#perMinute = Math.max(1, perMinute);
  }

  /** When the next call may be made, at `nowMs` or later. Nothing is reserved by asking. */
  peek(nowMs: number): number {
    const before = this.#times.at(-this.#perMinute);
    return this.#times.length < this.#perMinute ? nowMs : Math.max(nowMs, before! + minuteMs);
  }

  /** Reserves a time that `peek` named, or a later one. */
  reserve(atMs: number): void {
    this.#times.push(atMs);
    if (this.#times.length < 2 * pastMax) return;
    const first = this.#times.findIndex((time) => time + minuteMs > atMs);
    this.#times = this.#times.slice(first);
  }
}

/** Tokens that were reserved for one call. */
export type TokenShare = { amount: number; readonly atMs: number; isPast: boolean };

/** The same for tokens. A call that alone needs more than a minute's worth gets a minute for itself. */
export class TokenWindow {
  readonly #perMinute: number;
  #shares: TokenShare[] = [];
  #first = 0;
  #used = 0;

  /** Takes how many tokens a minute may hold. */
  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** When a call of about so many tokens may be made, at `nowMs` or later. Nothing is reserved by asking. */
  peek(nowMs: number, amount: number): number {
    this.#forget(nowMs);
    let used = this.#used;
    // Never before somebody who came earlier.
    let atMs = Math.max(nowMs, this.#shares.at(-1)?.atMs ?? nowMs);
    for (let at = this.#first; at < this.#shares.length && used + amount > this.#perMinute; at += 1) {
      const share = this.#shares[at]!;
      used -= share.amount;
      atMs = Math.max(atMs, share.atMs + minuteMs);
    }
    return atMs;
  }

  /** Reserves tokens at a time that `peek` named, or later. */
  reserve(atMs: number, amount: number): TokenShare {
    const share = { atMs, amount, isPast: false };
    this.#shares.push(share);
    this.#used += amount;
    return share;
  }

  /** Puts what was really used in place of what was reserved. */
  settle(share: TokenShare, amount: number): void {
    if (share.isPast) return;
    this.#used += amount - share.amount;
    share.amount = amount;
  }

  #forget(nowMs: number): void {
    for (let share = this.#shares[this.#first]; share !== undefined; share = this.#shares[this.#first]) {
      if (share.atMs + minuteMs > nowMs) break;
      share.isPast = true;
      this.#used -= share.amount;
      this.#first += 1;
    }
    if (this.#first < pastMax) return;
    this.#shares = this.#shares.slice(this.#first);
    this.#first = 0;
  }
}
