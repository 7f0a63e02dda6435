import { AppError } from '@signet/kit/error/app-error.ts';
import type { LmPrices } from '../engine/engine.ts';
import type { BudgetCap, JobBudget } from './optimization.ts';

/** What a call has come to, or can come to at most. */
export type CallCost = {
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** In US dollars; undefined without a price. */
  readonly usd: number | undefined;
};

/** What was set aside for one call: what it can come to at most. */
export type Reservation = CallCost & {
  /** How long the completion may be; undefined means as long as it was asked to be. */
  readonly tokensOutMax: number | undefined;
};

/** One call that is to be paid for. */
export type PlannedCall = {
  /** More tokens than its prompt can have. */
  readonly promptTokensMax: number;
  /** How long the completion was asked to be at most; undefined if nothing was said. */
  readonly completionTokensMax: number | undefined;
  readonly prices: LmPrices | undefined;
};

// What a completion may have where nobody said anything and tokens or money are capped.
const completionDefault = 4_096;
const million = 1_000_000;

/**
 * The caps of a job. A call is sent only after what it can come to at most was set aside, so no cap is ever passed, however many calls are
 * under way; what it did not use comes back. While what is set aside stands in the way, a call waits for it.
 */
export class Budget {
  readonly #caps: JobBudget;
  #calls = 0;
  #tokens = 0;
  #usd = 0;
  #open = new Set<Reservation>();
  #waiting: (() => void)[] = [];
  #exhausted: BudgetCap | undefined;
  #watchers = new Set<(cap: BudgetCap) => void>();

  constructor(caps: JobBudget, spent: { readonly lmCalls: number; readonly tokens: number; readonly usd: number }) {
    this.#caps = caps;
    this.#calls = spent.lmCalls;
    this.#tokens = spent.tokens;
    this.#usd = spent.usd;
  }

  /** Which cap refused a call, or ended the work; undefined while none did. */
  get exhausted(): BudgetCap | undefined {
    return this.#exhausted;
  }

  /** How many calls were paid for. */
  get calls(): number {
    return this.#calls;
  }

  /** Refuses every call from now on, and those that wait. */
  exhaust(cap: BudgetCap): void {
    this.#exhausted ??= cap;
    this.#wake();
  }

  /** Tells once that nothing more will be paid for: a cap refused a call, and what was under way has ended. Gives the way to stop listening. */
  whenSpent(tell: (cap: BudgetCap) => void): () => void {
    this.#watchers.add(tell);
    this.#wake();
    return () => void this.#watchers.delete(tell);
  }

  /** Sets aside what a call can come to; BUDGET_EXCEEDED, for this call and all after it, if a cap could be passed. */
  async reserve(call: PlannedCall): Promise<Reservation> {
    for (;;) {
      if (this.#exhausted !== undefined) throw exceeded(this.#exhausted);
      const found = this.#tryReserve(call);
      if (typeof found !== 'string') {
        this.#calls += 1;
        this.#take(found, 1);
        this.#open.add(found);
        return found;
      }
      // A call that ends may give back what this one needs. The number of calls comes back only for calls that were never sent.
      if (this.#open.size === 0) {
        this.exhaust(found);
        throw exceeded(found);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Puts what a call came to in place of what was set aside for it. */
  settle(reserved: Reservation, used: CallCost): void {
    if (!this.#open.delete(reserved)) return;
    this.#take(reserved, -1);
    this.#take(used, 1);
    this.#wake();
  }

  /** Takes back a call that was not sent. */
  release(reserved: Reservation): void {
    if (!this.#open.delete(reserved)) return;
    this.#calls -= 1;
    this.#take(reserved, -1);
    this.#wake();
  }

  #tryReserve({ promptTokensMax, completionTokensMax, prices }: PlannedCall): Reservation | BudgetCap {
    const { lmCalls, tokens, usd } = this.#caps;
    if (this.#calls >= lmCalls) return 'lm_calls';
    let most = Number.POSITIVE_INFINITY;
    if (tokens > 0) {
      most = Math.min(most, tokens - this.#tokens - promptTokensMax);
      if (most < 1) return 'tokens';
    }
    if (usd > 0) {
      const left = usd - this.#usd - ((prices?.inputPerMillion ?? 0) * promptTokensMax) / million;
      const each = (prices?.outputPerMillion ?? 0) / million;
      if (left < 0) return 'usd';
      if (each > 0) most = Math.min(most, Math.floor(left / each));
      if (most < 1) return 'usd';
    }
    const asked = completionTokensMax ?? (most === Number.POSITIVE_INFINITY ? 0 : completionDefault);
    const tokensOut = Math.min(asked, most);
    const isCapped = most !== Number.POSITIVE_INFINITY;
    return {
      tokensIn: promptTokensMax,
      tokensOut,
      usd:
        prices === undefined
          ? undefined
          : (promptTokensMax * prices.inputPerMillion + tokensOut * prices.outputPerMillion) / million,
      tokensOutMax: isCapped && tokensOut !== completionTokensMax ? tokensOut : undefined,
    };
  }

  #take({ tokensIn, tokensOut, usd }: CallCost, sign: 1 | -1): void {
    this.#tokens += sign * (tokensIn + tokensOut);
    this.#usd += sign * (usd ?? 0);
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
    const cap = this.#exhausted;
    if (cap === undefined || this.#open.size > 0) return;
    for (const tell of [...this.#watchers]) {
      this.#watchers.delete(tell);
      tell(cap);
    }
  }
}

/** The error of a call that a cap does not allow. */
export function exceeded(cap: BudgetCap): AppError {
  return new AppError('BUDGET_EXCEEDED', `The budget of the job is used up (${cap})`, { metadata: { cap } });
}
