import { Breaker, type BreakerOptions } from '@signet/kit/breaker.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { CallBound } from './call-bound.ts';
import { AttemptFailure } from './failure.ts';
import { RequestWindow, type TokenShare, TokenWindow } from './minute-window.ts';
import { Places } from './places.ts';

const unlimited = 1_000_000;
// Beyond, nobody is told apart any more: the oldest begin anew.
const guardsMax = 1_000;

/** Leave to make one attempt. */
export type Pass = {
  /** Ends the attempt: what the endpoint used, and how it is; `undefined` if nobody knows. */
  end(outcome: 'well' | 'ill' | undefined, tokens: number | undefined): void;
};

/** What stands before one language model in this process: its breaker, its places and its minute's worth of requests and tokens. */
export class EndpointGuard {
  readonly breaker: Breaker;
  readonly #places: Places;
  #requests: RequestWindow | undefined;
  #tokens: TokenWindow | undefined;
  #limits = '';

  constructor(options: BreakerOptions) {
    this.breaker = new Breaker(options);
    this.#places = new Places(unlimited);
  }

  /** Takes over changed limits; what is under way stays counted. */
  adopt(endpoint: LmEndpoint): void {
    const { concurrencyMax, requestsPerMinute, tokensPerMinute } = endpoint;
    if (
      this.#limits === '' &&
      concurrencyMax === undefined &&
      requestsPerMinute === undefined &&
      tokensPerMinute === undefined
    )
      return;
    const limits = `${concurrencyMax} ${requestsPerMinute} ${tokensPerMinute}`;
    if (limits === this.#limits) return;
    this.#limits = limits;
    this.#places.resize(concurrencyMax ?? unlimited);
    this.#requests = requestsPerMinute === undefined ? undefined : new RequestWindow(requestsPerMinute);
    this.#tokens = tokensPerMinute === undefined ? undefined : new TokenWindow(tokensPerMinute);
  }

  /**
   * Waits for leave to make an attempt, within the call's bound and at most `waitMaxMs`. Fails with LM_RATE_LIMITED if it would take longer,
   * with LM_UNAVAILABLE at once while the breaker is open; both say when to come back, and neither is worth another attempt now.
   */
  async enter(bound: CallBound, tokens: number, waitMaxMs: number): Promise<Pass> {
    const untilMs = performance.now() + Math.min(waitMaxMs, bound.leftMs());
    this.#checkBreaker();
    const share = await this.#takeTurn(bound, tokens, untilMs);
    await this.#takePlace(bound, untilMs);
    try {
      // It may have opened meanwhile.
      this.#checkBreaker();
    } catch (error) {
      this.#places.leave();
      throw error;
    }
    this.breaker.enter();
    return {
      end: (outcome, used) => {
        this.#places.leave();
        if (share !== undefined && used !== undefined) this.#tokens?.settle(share, used);
        if (outcome === 'well') this.breaker.succeed();
        else if (outcome === 'ill') this.breaker.fail();
        else this.breaker.leave();
      },
    };
  }

  #checkBreaker(): void {
    const waitMs = this.breaker.waitMs();
    if (waitMs !== undefined) throw failing(waitMs);
  }

  async #takeTurn(bound: CallBound, tokens: number, untilMs: number): Promise<TokenShare | undefined> {
    if (this.#requests === undefined && this.#tokens === undefined) return undefined;
    const nowMs = performance.now();
    const requestMs = this.#requests?.peek(nowMs) ?? nowMs;
    const atMs = Math.max(requestMs, this.#tokens?.peek(nowMs, tokens) ?? nowMs);
    if (atMs > untilMs) throw limited(requestMs === atMs ? 'requests per minute' : 'tokens per minute', atMs - nowMs);
    this.#requests?.reserve(atMs);
    const share = this.#tokens?.reserve(atMs, tokens);
    if (atMs > nowMs) await bound.pause(atMs - nowMs);
    return share;
  }

  async #takePlace(bound: CallBound, untilMs: number): Promise<void> {
    if (this.#places.tryTake()) return;
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0) throw limited('calls at once', 1_000);
    await new Promise<void>((resolve, reject) => {
      const leaveLine = this.#places.wait(() => {
        clearTimeout(timer);
        resolve();
      });
      const giveUp = (error: Error): void => {
        clearTimeout(timer);
        leaveLine();
        reject(error);
      };
      const timer = setTimeout(() => giveUp(limited('calls at once', 1_000)), leftMs);
      bound.watch(giveUp);
    });
  }
}

function failing(waitMs: number): AttemptFailure {
  const message = "The language model's endpoint has failed again and again and is left alone for a while";
  const retryAfterMs = Math.max(1, Math.ceil(waitMs));
  return new AttemptFailure(
    new AppError('LM_UNAVAILABLE', message, { retryAfterMs, metadata: { breaker: 'open' } }),
    false,
  );
}

function limited(limit: string, waitMs: number): AttemptFailure {
  const message = `The language model's limit of ${limit} is reached`;
  const retryAfterMs = Math.max(1, Math.ceil(waitMs));
  return new AttemptFailure(new AppError('LM_RATE_LIMITED', message, { retryAfterMs, metadata: { limit } }), false);
}

/** The guards of all language models that this process has asked, by what they are and where. */
export class EndpointGuards {
  readonly #options: BreakerOptions;
  readonly #guards = new Map<string, EndpointGuard>();

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** The guard of an endpoint. One with another address or model than before starts with a clean slate, other limits do not matter. */
  of(endpoint: LmEndpoint): EndpointGuard {
    const key = `${endpoint.slug}\n${endpoint.model}\n${endpoint.apiBase}`;
    let guard = this.#guards.get(key);
    if (guard === undefined) {
      if (this.#guards.size >= guardsMax) this.#guards.delete(this.#guards.keys().next().value!);
      guard = new EndpointGuard(this.#options);
      this.#guards.set(key, guard);
    }
    guard.adopt(endpoint);
    return guard;
  }

  /** The slugs of endpoints whose breaker is open. */
  open(): string[] {
    const open = new Set<string>();
    for (const [key, { breaker }] of this.#guards) if (breaker.isOpen) open.add(key.slice(0, key.indexOf('\n')));
    return [...open];
  }
}
