/** How a breaker is set. */
export type BreakerOptions = {
  /** Failures in a row that open it. Default 5. */
  readonly failureMax?: number;
  /** How long it stays open before one attempt may try. Default 30 s. */
  readonly openMs?: number;
  readonly nowMs?: () => number;
};

// What callers are told while somebody else looks.
const probeMs = 1_000;

/** Keeps calls from an endpoint that fails again and again: open after five failures in a row, and every 30 s one attempt may look. */
export class Breaker {
  readonly #failureMax: number;
  readonly #openMs: number;
  readonly #nowMs: () => number;
  #failures = 0;
  #openUntilMs = 0;
  #isProbing = false;

  constructor(options: BreakerOptions = {}) {
    this.#failureMax = options.failureMax ?? 5;
    this.#openMs = options.openMs ?? 30_000;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** True while attempts are refused, but for a probe. */
  get isOpen(): boolean {
    return this.#failures >= this.#failureMax;
  }

  /** Milliseconds until an attempt is worth asking for; undefined if one may be made now. */
  waitMs(): number | undefined {
    if (!this.isOpen) return undefined;
    const leftMs = this.#openUntilMs - this.#nowMs();
    if (leftMs > 0) return leftMs;
    return this.#isProbing ? probeMs : undefined;
  }

  /** Begins an attempt that `waitMs` allows; `succeed`, `fail` or `leave` must follow. */
  enter(): void {
    if (this.isOpen) this.#isProbing = true;
  }

  /** The endpoint answered, be it with a refusal. */
  succeed(): void {
    this.#failures = 0;
    this.#isProbing = false;
  }

  /** The endpoint was not there or not well. */
  fail(): void {
    this.#failures += 1;
    this.#isProbing = false;
    if (this.isOpen) this.#openUntilMs = this.#nowMs() + this.#openMs;
  }

  /** The attempt ended without telling how the endpoint is. */
  leave(): void {
    this.#isProbing = false;
  }
}
