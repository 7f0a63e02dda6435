import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { LRUCache } from 'lru-cache';
import type { Catalog } from '../catalog/catalog.ts';
import type { RegistryClient } from '../catalog/registry.grpc.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import { chooseEngine, type Engines } from '../engine/choose-engine.ts';
import type { Dialect } from '../engine/engine.ts';
import { isSameDialect } from './dialect.ts';

const runningMax = 2;
const prepareMaxMs = 60_000;
const againMs = 30_000;
const triedMax = 10_000;

/** What making plans afresh needs. */
export type PlanRefresherDeps = {
  readonly registry: RegistryClient;
  readonly catalog: Catalog;
  readonly engines: Engines;
  readonly log: Logger;
};

/**
 * Gives versions that were prepared without a plan, or by a DSPy that is not there any more, a new preparation when they are used: in the
 * background, two at a time, each version once in 30 s. What is used meanwhile goes by the old one; a preparation is never changed.
 */
export class PlanRefresher {
  readonly #deps: PlanRefresherDeps;
  readonly #tried = new LRUCache<string, true>({ max: triedMax, ttl: againMs });
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #fresh = new WeakSet<ServedProgram>();
  #dialects: readonly Dialect[] = [];

  constructor(deps: PlanRefresherDeps) {
    this.#deps = deps;
  }

  /** A version is used: begins to prepare it anew if need be. Costs next to nothing otherwise; never throws. */
  look(program: ServedProgram): void {
    const dialects = this.#deps.engines.get('python')?.dialects?.() ?? [];
    if (dialects !== this.#dialects) {
      this.#dialects = dialects;
      this.#fresh = new WeakSet();
    }
    if (dialects.length === 0 || this.#fresh.has(program)) return;
    if (!isStale(program, dialects)) {
      this.#fresh.add(program);
      return;
    }
    const key = `${program.id}/${program.version}`;
    if (this.#running.size >= runningMax || this.#tried.has(key) || this.#stop.signal.aborted) return;
    this.#tried.set(key, true);
    const running = this.#refresh(program).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    this.#stop.abort(new AppError('CANCELLED', 'The executor is shutting down'));
    await Promise.all(this.#running);
  }

  async #refresh(program: ServedProgram): Promise<void> {
    const { registry, catalog, engines, log } = this.#deps;
    const { id, version, engineProgram, adapterType } = program;
    const within = { signal: this.#stop.signal, deadlineMs: Date.now() + prepareMaxMs, trace: ROOT_CONTEXT };
    try {
      // One of the native engine alone is never given a preparation that it cannot be served from.
      const prepared = await engines.get(chooseEngine(adapterType, undefined))?.prepare(engineProgram, within);
      if (prepared === undefined) return;
      await registry.putPreparation(id, version, prepared, within);
      catalog.learn(await registry.resolve(id, version, within), version);
      log.info({ program_id: id, version, dialect: prepared.dialect }, 'a version was prepared anew');
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const { reason } = normalizeError(error);
      log.warn({ program_id: id, version, reason }, 'a version could not be prepared anew');
    }
  }
}

function isStale({ adapterType, isPrepared, engineProgram }: ServedProgram, dialects: readonly Dialect[]): boolean {
  if (adapterType === 'mock' || !isPrepared) return false;
  const { planJson, nativeFault, dialect = {} } = engineProgram;
  if (planJson === '' && nativeFault === '') return true;
  return !dialects.some((one) => isSameDialect(one, dialect));
}
