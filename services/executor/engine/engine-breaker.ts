import { Breaker } from '@signet/kit/breaker.ts';
import type { Engine } from './engine.ts';

/** Keeps calls from an engine that is not there, until 30 s have passed or it says that it is back. */
export class EngineBreaker {
  readonly #engine: Engine;
  readonly #breaker: Breaker;
  #wasReady = true;

  constructor(engine: Engine, nowMs: (() => number) | undefined) {
    this.#engine = engine;
    this.#breaker = new Breaker(nowMs === undefined ? {} : { nowMs });
  }

  /** Milliseconds until it is worth asking; undefined if it may be asked now. */
  waitMs(): number | undefined {
    const waitMs = this.#breaker.waitMs();
    if (waitMs === undefined || this.#wasReady || !this.#engine.ready()) return waitMs;
    this.#breaker.succeed();
    return undefined;
  }

  enter(): void {
    this.#breaker.enter();
  }

  /** The engine was there, whatever the run came to. */
  answered(): void {
    this.#breaker.succeed();
  }

  /** The engine was not there. */
  missing(): void {
    this.#wasReady = this.#engine.ready();
    this.#breaker.fail();
  }

  /** The run tells nothing about the engine. */
  leave(): void {
    this.#breaker.leave();
  }
}
