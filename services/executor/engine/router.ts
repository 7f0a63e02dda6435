import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { LRUCache } from 'lru-cache';
import { type AdapterType, chooseEngine, type Engines, requireEngine } from './choose-engine.ts';
import {
  type Engine,
  EngineDeclined,
  type EngineName,
  type EngineProgram,
  type EngineRun,
  type Routing,
  type RoutingStrategy,
  type RunContext,
} from './engine.ts';
import { EngineBreaker } from './engine-breaker.ts';
import { EngineRecord } from './engine-record.ts';

/** What decides where a program may run. */
export type Routed = {
  readonly adapterType: AdapterType;
  readonly engineProgram: EngineProgram;
  /** What the module behind it says; undefined if there is none. */
  readonly moduleSettings:
    | {
        readonly id: string;
        readonly implementation: 'native' | 'python' | 'hybrid';
        readonly routingStrategy: RoutingStrategy;
      }
    | undefined;
};

/** What a call says of where it is to run. */
export type RoutingWish = { readonly engine?: EngineName; readonly routing_strategy?: RoutingStrategy };

/** What a router needs; chance and clock are given by tests. */
export type RouterDeps = {
  readonly engines: Engines;
  readonly nowMs?: () => number;
  readonly chance?: () => number;
};

const recordMax = 5_000;
const exploredShare = 0.05;
const retryAfterMs = 1_000;

/** Modules whose runs do nothing but ask the model: to run them twice costs money and changes nothing. */
const repeatable: ReadonlySet<string> = new Set(['predict', 'chain_of_thought', 'multi_chain_comparison']);

/**
 * Chooses the engine of each call, and the next one where that fails for no fault of the call: `python_first`, `native_first`, or
 * `performance_based` (usual latency × error rate of the last hundred runs, native while nothing is known, 5 % exploration). An engine
 * that is not there five times in a row is left alone for 30 s, or until it says that it is there again.
 */
export class Router {
  readonly #deps: RouterDeps;
  readonly #breakers = new Map<EngineName, EngineBreaker>();
  readonly #records = new LRUCache<string, EngineRecord>({ max: recordMax });

  constructor(deps: RouterDeps) {
    this.#deps = deps;
  }

  /**
   * The engine for a call; running it may end on another one, and the run says so. Fails with INVALID_REQUEST for an engine that the
   * program does not allow and ENGINE_UNAVAILABLE for one that this process does not have.
   */
  choose(program: Routed, wish: RoutingWish): Engine {
    const { engines } = this.#deps;
    if (wish.engine !== undefined || program.adapterType === 'mock') {
      const only = requireEngine(engines, chooseEngine(program.adapterType, wish.engine));
      return only.name === 'mock'
        ? only
        : new RoutedEngine(this, [only], { strategy: strategyOf(program, wish), notes: [], preferred: only.name });
    }
    const strategy = strategyOf(program, wish);
    const notes: string[] = [];
    const names = this.#order(program, strategy, notes);
    const preferred = names[0]!;
    const able = names.filter((name) => {
      const why = whyNot(name, program.engineProgram);
      if (why !== undefined && names.length > 1) notes.push(`${name}: ${why}`);
      return (why === undefined || names.length === 1) && (engines.has(name) || names.length === 1);
    });
    const first = requireEngine(engines, able[0] ?? preferred);
    const others = able.slice(1).map((name) => engines.get(name)!);
    return new RoutedEngine(this, [first, ...others], { strategy, notes, preferred });
  }

  /** The breaker of an engine. */
  breaker(engine: Engine): EngineBreaker {
    let breaker = this.#breakers.get(engine.name);
    if (breaker === undefined) {
      breaker = new EngineBreaker(engine, this.#deps.nowMs);
      this.#breakers.set(engine.name, breaker);
    }
    return breaker;
  }

  /** The engines that were asked yet, and whether they are left alone. */
  *breakers(): Iterable<{ readonly engine: EngineName; readonly isOpen: boolean }> {
    for (const [engine, breaker] of this.#breakers) yield { engine, isOpen: breaker.waitMs() !== undefined };
  }

  /** How an engine did lately for a program. */
  record(name: EngineName, program: EngineProgram): EngineRecord {
    const key = `${name} ${program.programId}`;
    let record = this.#records.get(key);
    if (record === undefined) {
      record = new EngineRecord();
      this.#records.set(key, record);
    }
    return record;
  }

  #order(program: Routed, strategy: RoutingStrategy, notes: string[]): EngineName[] {
    const implementation = program.moduleSettings?.implementation ?? 'hybrid';
    if (program.adapterType === 'native' || implementation === 'native') return ['native'];
    if (implementation === 'python') return ['python'];
    if (strategy === 'native_first') return ['native', 'python'];
    if (strategy === 'python_first') return ['python', 'native'];
    const native = this.record('native', program.engineProgram);
    const python = this.record('python', program.engineProgram);
    // What nobody has tried is tried by exploring alone: native is the cheaper guess.
    const best: EngineName[] =
      native.isEmpty || python.isEmpty || native.score <= python.score ? ['native', 'python'] : ['python', 'native'];
    if ((this.#deps.chance ?? Math.random)() >= exploredShare) return best;
    notes.push('explored');
    return best.reverse() as EngineName[];
  }
}

function strategyOf(program: Routed, wish: RoutingWish): RoutingStrategy {
  return wish.routing_strategy ?? program.moduleSettings?.routingStrategy ?? 'python_first';
}

/** Why an engine can never run a program; undefined if it can. */
function whyNot(name: EngineName, { planJson, nativeFault }: EngineProgram): string | undefined {
  if (name !== 'native' || planJson !== '') return undefined;
  return nativeFault === '' ? 'the version has no prompt plan' : nativeFault;
}

type Plan = { readonly strategy: RoutingStrategy; readonly notes: readonly string[]; readonly preferred: EngineName };

/** The engines of one call in the order of trial, as one engine. */
class RoutedEngine implements Engine {
  readonly name: EngineName;
  readonly #router: Router;
  readonly #engines: readonly Engine[];
  readonly #plan: Plan;

  constructor(router: Router, engines: readonly Engine[], plan: Plan) {
    this.#router = router;
    this.#engines = engines;
    this.#plan = plan;
    this.name = engines[0]!.name;
  }

  ready(): boolean {
    return this.#engines.some((engine) => engine.ready());
  }

  prepare(...args: Parameters<Engine['prepare']>): ReturnType<Engine['prepare']> {
    return this.#engines[0]!.prepare(...args);
  }

  async run(program: EngineProgram, inputs: JsonObject, inputsJson: string, ctx: RunContext): Promise<EngineRun> {
    const notes = [...this.#plan.notes];
    let failure: unknown;
    for (const [index, engine] of this.#engines.entries()) {
      const rest = this.#engines.slice(index + 1);
      const skipped = this.#whyNotNow(engine, rest);
      if (skipped !== undefined) {
        notes.push(`${engine.name}: ${skipped.why}`);
        failure ??= skipped.error;
        continue;
      }
      try {
        return await this.#runOn(engine, program, inputs, inputsJson, ctx, notes);
      } catch (error) {
        failure = error;
        if (rest.length === 0 || !mayGoOn(error, program, ctx)) break;
        notes.push(`${engine.name}: ${error instanceof EngineDeclined ? error.message : normalizeError(error).reason}`);
        ctx.lmCalls?.rewind();
      }
    }
    throw refusal(failure, notes);
  }

  async close(): Promise<void> {}

  async #runOn(
    engine: Engine,
    program: EngineProgram,
    inputs: JsonObject,
    inputsJson: string,
    ctx: RunContext,
    notes: readonly string[],
  ): Promise<EngineRun> {
    const breaker = this.#router.breaker(engine);
    const startMs = performance.now();
    breaker.enter();
    try {
      const run = await engine.run(program, inputs, inputsJson, ctx);
      breaker.answered();
      this.#router.record(engine.name, program).succeed(performance.now() - startMs);
      return { ...run, routing: this.#routing(engine.name, notes) };
    } catch (error) {
      const reason = error instanceof EngineDeclined ? 'DECLINED' : normalizeError(error).reason;
      if (reason === 'ENGINE_UNAVAILABLE') breaker.missing();
      else if (reason === 'DECLINED' || ctx.signal.aborted) breaker.leave();
      else breaker.answered();
      if (engineFaults.has(reason)) this.#router.record(engine.name, program).fail();
      throw error;
    }
  }

  #routing(engine: EngineName, notes: readonly string[]): Routing {
    const { strategy, preferred } = this.#plan;
    return { engine, strategy, reason: notes.join('; ') || 'preferred', degraded: engine !== preferred };
  }

  // An engine that is not there is passed over only for one that is: else it is asked, and may come in time.
  #whyNotNow(engine: Engine, rest: readonly Engine[]): { why: string; error: AppError } | undefined {
    const waitMs = this.#router.breaker(engine).waitMs();
    if (waitMs !== undefined) return { why: 'breaker open', error: unavailable(waitMs, []) };
    if (engine.ready() || !rest.some((other) => other.ready())) return undefined;
    return { why: 'not there', error: unavailable(retryAfterMs, []) };
  }
}

const engineFaults: ReadonlySet<string> = new Set([
  'ENGINE_UNAVAILABLE',
  'WORKER_LOST',
  'LM_REPLY_UNREADABLE',
  'MODULE_FAILED',
  'INTERNAL',
]);

/** True if another engine may try: nothing has begun, or what has begun may be done twice and nobody has seen any of it. */
function mayGoOn(error: unknown, program: EngineProgram, ctx: RunContext): boolean {
  if (ctx.signal.aborted) return false;
  if (error instanceof EngineDeclined) return true;
  const { reason } = normalizeError(error);
  if (reason === 'ENGINE_UNAVAILABLE') return true;
  return reason === 'WORKER_LOST' && repeatable.has(program.module) && ctx.hasShownText !== true && ctx.maxRetries > 0;
}

function refusal(failure: unknown, notes: readonly string[]): unknown {
  if (failure instanceof EngineDeclined) {
    return new AppError('MODULE_INVALID', `The ${failure.engine} engine cannot run it: ${failure.message}`, {
      metadata: { engine: failure.engine },
    });
  }
  const error = normalizeError(failure);
  if (error.reason !== 'ENGINE_UNAVAILABLE') return failure;
  return unavailable(error.retryAfterMs ?? retryAfterMs, notes, failure);
}

function unavailable(waitMs: number, notes: readonly string[], cause?: unknown): AppError {
  return new AppError('ENGINE_UNAVAILABLE', 'Service temporarily unavailable', {
    cause,
    retryAfterMs: Math.max(Math.ceil(waitMs), 1),
    metadata: notes.length === 0 ? {} : { routing: notes.join('; ') },
  });
}
