import type { Meter } from '@opentelemetry/api';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { createSummedCounter } from '@signet/kit/telemetry/summed-counter.ts';
import { LRUCache } from 'lru-cache';
import type { Engine, EngineRun } from '../engine/engine.ts';
import type { CacheEntry, CacheStore } from './store.postgres.ts';

/** What a cache needs. */
export type ResultCacheDeps = { readonly store: CacheStore; readonly meter: Meter; readonly log: Logger };

/** How large a cache may be. */
export type ResultCacheBounds = {
  /** Bytes of outputs in memory; default 64 MiB. */
  readonly memoryBytesMax?: number;
  /** Entries in the database; default 100,000. */
  readonly entryMax?: number;
};

/** A run that may be answered from the cache. */
export type CachedRun = {
  readonly key: Buffer;
  readonly programId: string;
  readonly ttlMs: number;
  readonly engine: Engine;
  /** Ends the waiting for another's run. */
  readonly signal: AbortSignal;
  run(): Promise<EngineRun>;
};

const unlabelled = {};
const entryBytesMax = 1_048_576;

/**
 * Gives answers again: out of memory, else out of the database, else by one run for all equal calls of this process. Only answers that
 * came well are kept, of at most 1 MiB. Without the database it goes on with what memory has.
 */
export class ResultCache {
  readonly #deps: ResultCacheDeps;
  readonly #memory: LRUCache<string, CacheEntry>;
  readonly #entryMax: number;
  readonly #running = new Map<string, Promise<EngineRun | undefined>>();
  readonly #writes = new Set<Promise<void>>();
  readonly #hits;
  readonly #misses;

  constructor(deps: ResultCacheDeps, bounds: ResultCacheBounds = {}) {
    this.#deps = deps;
    this.#entryMax = bounds.entryMax ?? 100_000;
    this.#memory = new LRUCache({
      maxSize: bounds.memoryBytesMax ?? 67_108_864,
      sizeCalculation: ({ outputsJson }) => outputsJson.length + 100,
    });
    this.#hits = createSummedCounter(deps.meter, 'signet.cache.hit', {
      description: 'Executions answered from the cache',
    });
    this.#misses = createSummedCounter(deps.meter, 'signet.cache.miss', {
      description: 'Executions that looked into the cache in vain',
    });
  }

  /** The kept answer, that of an equal call that runs already, or a run of its own. */
  async answer(asked: CachedRun): Promise<EngineRun> {
    const name = asked.key.toString('latin1');
    for (;;) {
      const kept = this.#recall(name) ?? (await this.#read(name, asked.key));
      if (kept !== undefined) return this.#hit(kept);
      const other = this.#running.get(name);
      if (other === undefined) return await this.#run(name, asked);
      // Whoever waits has a deadline of its own; when the other one fails, the next in line runs.
      const run = await orAborted(other, asked.signal);
      if (run !== undefined)
        return this.#hit({ outputsJson: run.outputsJson, engine: run.routing?.engine ?? asked.engine.name, leftMs: 0 });
    }
  }

  /** Forgets what has expired, in the database. */
  async sweep(): Promise<void> {
    await this.#deps.store.sweep(this.#entryMax);
  }

  /** Waits for the writes that are under way. */
  async close(): Promise<void> {
    await Promise.all(this.#writes);
  }

  async #run(name: string, asked: CachedRun): Promise<EngineRun> {
    this.#misses.add(1, unlabelled);
    const running = asked.run();
    const shared = running.then(
      (run) => run,
      () => undefined,
    );
    this.#running.set(name, shared);
    try {
      const run = await running;
      this.#keep(name, asked, run);
      return { ...run, cacheHit: false };
    } finally {
      this.#running.delete(name);
    }
  }

  #keep(name: string, { key, programId, ttlMs, engine }: CachedRun, run: EngineRun): void {
    const { outputsJson } = run;
    if (outputsJson.length > entryBytesMax) return;
    const entry: CacheEntry = { outputsJson, engine: run.routing?.engine ?? engine.name, leftMs: ttlMs };
    this.#memory.set(name, entry, { ttl: ttlMs });
    const write = this.#deps.store.put(key, programId, entry).catch((error: unknown) => this.#complain(error));
    this.#writes.add(write);
    void write.finally(() => this.#writes.delete(write));
  }

  #recall(name: string): CacheEntry | undefined {
    return this.#memory.get(name);
  }

  async #read(name: string, key: Buffer): Promise<CacheEntry | undefined> {
    if (this.#running.has(name)) return undefined;
    try {
      const entry = await this.#deps.store.get(key);
      if (entry !== undefined) this.#memory.set(name, entry, { ttl: Math.max(Math.ceil(entry.leftMs), 1) });
      return entry;
    } catch (error) {
      this.#complain(error);
      return undefined;
    }
  }

  #hit({ outputsJson, engine }: CacheEntry): EngineRun {
    this.#hits.add(1, unlabelled);
    const routing = { engine, strategy: undefined, reason: 'cached', degraded: false };
    return { outputsJson, lmCalls: 0, tokensIn: 0, tokensOut: 0, queueMs: 0, worker: '', cacheHit: true, routing };
  }

  #complain(error: unknown): void {
    this.#deps.log.warn({ reason: normalizeError(error).reason }, 'the result cache goes without its database');
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
