import type { Engine } from '../engine/engine.ts';
import { cacheKey } from './cache-key.ts';
import type { ResultCache } from './result-cache.ts';

/** Whose answers are shared, and for how long they are good. */
export type CacheWish = {
  readonly ttlMs: number;
  /** Empty means that all callers of the program share them. */
  readonly keyId: string;
};

/** An engine that gives answers again. */
export function cachedEngine(cache: ResultCache, engine: Engine, { ttlMs, keyId }: CacheWish): Engine {
  return {
    name: engine.name,
    ready: () => engine.ready(),
    prepare: (program, ctx) => engine.prepare(program, ctx),
    run: (program, inputs, inputsJson, ctx) =>
      cache.answer({
        key: cacheKey({ program, lm: ctx.lm, inputs, keyId }),
        programId: program.programId,
        ttlMs,
        engine,
        signal: ctx.signal,
        run: () => engine.run(program, inputs, inputsJson, ctx),
      }),
    close: () => engine.close(),
  };
}
