import { randomBytes } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import type { Tracer } from '@opentelemetry/api';
import type { Address } from '@signet/kit/config/env.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import {
  type ParseCompletionRequest,
  type ParseCompletionResponse,
  type ProgramDefinition,
  type QueryRequest,
  type QueryResponse,
  type RenderPromptRequest,
  type RenderPromptResponse,
  type Signature,
  type Dialect as WireDialect,
  type Worker,
  WorkerState,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { Dialect } from '../engine/engine.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import { isSolo, type Lane, laneOf, lanes, runsAlone } from './lane.ts';
import { createOptimizerHost, type OptimizerHost } from './optimizer-host.ts';
import { type PoolTotals, PoolView } from './pool-view.ts';
import { moduleFailure } from './run-failure.ts';
import { SidecarRun, type SidecarRunContext, type SidecarRunInput, type SidecarRunResult } from './sidecar-run.ts';
import { engineUnavailable, type SupervisorCallContext, type SupervisorClient } from './supervisor-client.ts';
import { WorkerSession, type WorkerSessionDeps } from './worker-session.ts';

const tickMs = 1_000;
const reopenMs = 200;
const returnMax = 3;
const soonMs = 250;
// How many more runs than the least busy worker one may have that is being sent runs anyway.
const aheadMax = 3;

/** What a pool needs. */
export type SidecarPoolDeps = {
  readonly lm: LanguageModel;
  readonly tools: ToolCaller;
  readonly tracer: Tracer;
  readonly log: Logger;
  readonly internalToken: string;
};

/** How a pool may be set up. */
export type SidecarPoolOptions = {
  /** Where sidecars are; a name may stand for several. */
  readonly addresses: readonly Address[];
  /** Runs that may wait for a place; default 1,000. */
  readonly waitingMax?: number;
  /** A worker that has been silent for so long is lost; default 10 s. */
  readonly silentMaxMs?: number;
  /** For so long runs wait while no worker is there; default 10 s. */
  readonly unavailableAfterMs?: number;
};

/** A pool in figures: runs that workers have, runs that wait for one, and the workers as the supervisors last named them. */
export type PoolGauges = {
  readonly inFlight: number;
  readonly waiting: number;
  readonly workers: readonly Worker[];
  readonly totals: PoolTotals;
};

/** A program that can be built. */
export type CompiledProgram = {
  readonly dspyProgramId: string;
  readonly dialect: WireDialect | undefined;
  /** The prompt plan; empty if there is none. */
  readonly planJson: string;
  /** Why there is none; empty if there is one. */
  readonly nativeFault: string;
};

/** What a class of the allow-list declares. */
export type DescribedModule = { readonly name: string; readonly signature: Signature };

/** Every worker of every sidecar as one place to run programs. */
export class SidecarPool {
  readonly #options: Required<SidecarPoolOptions>;
  readonly #view: PoolView;
  readonly #sessionDeps: WorkerSessionDeps;
  readonly #sessions = new Map<string, WorkerSession>();
  readonly #notBefore = new Map<string, number>();
  readonly #waiting: Readonly<Record<Lane, Set<SidecarRun>>> = {
    shared: new Set(),
    solo: new Set(),
    bulk: new Set(),
    bulk_solo: new Set(),
  };
  readonly #timer: NodeJS.Timeout;
  #turn = 0;
  #last: WorkerSession | undefined;
  #soonTimer: NodeJS.Timeout | undefined;
  #workerSeenMs = performance.now();
  #sidecarSeenMs = performance.now();
  #closed = false;

  constructor(deps: SidecarPoolDeps, options: SidecarPoolOptions) {
    this.#options = { waitingMax: 1_000, silentMaxMs: 10_000, unavailableAfterMs: 10_000, ...options };
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${deps.internalToken}`);
    const { lm, tools, tracer, log } = deps;
    const executor = randomBytes(6).toString('hex');
    this.#sessionDeps = { lm, tools, tracer, log, metadata, executor, silentMaxMs: this.#options.silentMaxMs };
    this.#view = new PoolView({ metadata, log }, options.addresses);
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
    this.#look();
  }

  /** True if a worker is there to begin any run. Solo workers do not count, as they come when somebody waits for one, nor does a cluster. */
  ready(): boolean {
    return this.#isThere('shared');
  }

  /** How the pool is now: what its instruments show. */
  gauges(): PoolGauges {
    let inFlight = 0;
    for (const session of this.#sessions.values()) inFlight += session.inFlight;
    return { inFlight, waiting: this.#waitingCount, workers: this.#view.workers, totals: this.#view.totals };
  }

  /** Where optimizers run, each in a process of its own. */
  optimizers(): OptimizerHost {
    return createOptimizerHost({ supervisors: () => this.#view.supervisors, metadata: this.#sessionDeps.metadata });
  }

  /** The workers as the supervisors last named them. */
  workers(): readonly Worker[] {
    return this.#view.workers;
  }

  /** The dialects of the sidecars, each once; the same object until they change. */
  dialects(): readonly Dialect[] {
    return this.#view.dialects;
  }

  /** The names of the allow-list. */
  moduleNames(): readonly string[] {
    return this.#view.moduleNames;
  }

  /**
   * Runs a program on the worker with the least to do, or nearly: what comes in one turn of the event loop goes together. Waits for a place: QUEUE_FULL if too many wait already,
   * ENGINE_UNAVAILABLE if no worker has been there for some time. WORKER_LOST: it may have begun.
   */
  run(input: SidecarRunInput, ctx: SidecarRunContext): Promise<SidecarRunResult> {
    const run = new SidecarRun(input, ctx);
    if (!run.ended) this.#place(run);
    return run.done;
  }

  /** Whether a program can be built: its opaque name and dialect, or MODULE_INVALID or SIGNATURE_TYPE. */
  async compile(program: ProgramDefinition, ctx: SupervisorCallContext): Promise<CompiledProgram> {
    const compiled = await this.#ask((supervisor) => supervisor.compile(program, ctx), ctx);
    const { dspyProgramId, dialect, error, planJson, planFault } = compiled;
    if (error !== undefined) throw moduleFailure(error);
    return { dspyProgramId, dialect, planJson: planJson.toString('utf8'), nativeFault: planFault };
  }

  /** Lets DSPy write the messages of a predictor. */
  render(request: RenderPromptRequest, ctx: SupervisorCallContext): Promise<RenderPromptResponse> {
    return this.#ask((supervisor) => supervisor.render(request, ctx), ctx);
  }

  /** Lets DSPy of a dialect read a completion; ENGINE_UNAVAILABLE if there is none of it. Undefined means any. */
  parse(
    request: ParseCompletionRequest,
    ctx: SupervisorCallContext,
    dialect?: Dialect,
  ): Promise<ParseCompletionResponse> {
    return this.#ask((supervisor) => supervisor.parse(request, ctx), ctx, dialect);
  }

  /** What the class behind a name of the allow-list declares, or MODULE_INVALID or SIGNATURE_TYPE. */
  async describe(name: string, ctx: SupervisorCallContext): Promise<DescribedModule> {
    const { signature, error, kind } = await this.#ask((supervisor) => supervisor.describe(name, ctx), ctx);
    if (error !== undefined) throw moduleFailure(error).with({ kind });
    return { name, signature: signature ?? { instructions: '', fields: [] } };
  }

  /** Rows of what a sidecar holds; ENGINE_UNAVAILABLE if none answers. */
  query(request: QueryRequest, ctx: SupervisorCallContext): Promise<QueryResponse> {
    return this.#ask((supervisor) => supervisor.query(request, ctx), ctx);
  }

  /** Ends every session; runs that have not ended fail. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soonTimer);
    for (const run of this.#allWaiting()) run.fail(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
    for (const session of [...this.#sessions.values()]) session.close();
    this.#view.close();
  }

  #place(run: SidecarRun): void {
    if (this.#closed) {
      run.fail(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
      return;
    }
    const lane = this.#laneOf(run);
    const waiting = this.#waiting[lane];
    const session = waiting.size === 0 ? this.#choose(lane) : undefined;
    if (session !== undefined) {
      session.start(run);
      return;
    }
    if (this.#unavailable(lane)) {
      run.fail(engineUnavailable());
      return;
    }
    if (this.#waitingCount >= this.#options.waitingMax) {
      run.fail(new AppError('QUEUE_FULL', 'Too many executions wait for a worker', { retryAfterMs: 1000 }));
      return;
    }
    waiting.add(run);
    run.whenEnded(() => waiting.delete(run));
    if (lane === 'solo') this.#look();
  }

  #laneOf({ input }: SidecarRun): Lane {
    const { program } = input.named;
    const alone = input.alone || runsAlone(program.module, this.#view.sharedModuleNames);
    const onCluster = alone ? 'bulk_solo' : 'bulk';
    if (input.isBulk && this.#isThere(onCluster)) return onCluster;
    return alone ? 'solo' : 'shared';
  }

  #isThere(lane: Lane): boolean {
    for (const session of this.#sessions.values()) if (session.lane === lane && session.isReady) return true;
    return false;
  }

  get #waitingCount(): number {
    return lanes.reduce((sum, lane) => sum + this.#waiting[lane].size, 0);
  }

  #allWaiting(): SidecarRun[] {
    return lanes.flatMap((lane) => [...this.#waiting[lane]]);
  }

  #pump(lane: Lane): void {
    const waiting = this.#waiting[lane];
    for (const run of waiting) {
      const session = this.#choose(lane);
      if (session === undefined) return;
      waiting.delete(run);
      session.start(run);
    }
  }

  #choose(lane: Lane): WorkerSession | undefined {
    if (isSolo(lane)) return this.#chooseSolo(lane);
    const sessions = [...this.#sessions.values()];
    this.#turn += 1;
    let best: WorkerSession | undefined;
    for (let at = 0; at < sessions.length; at += 1) {
      // Begins elsewhere each time, so that equals share the work.
      const session = sessions[(at + this.#turn) % sessions.length]!;
      if (session.lane !== lane || !session.hasRoom) continue;
      if (best === undefined || loadOf(session) < loadOf(best)) best = session;
    }
    if (best === undefined) return undefined;
    const last = this.#last;
    if (last?.hasRoom === true && last.lane === lane && loadOf(last) < loadOf(best) + aheadMax) return last;
    if (last === undefined) setImmediate(() => this.#forget());
    this.#last = best;
    return best;
  }

  #chooseSolo(lane: Lane): WorkerSession | undefined {
    for (const session of this.#sessions.values()) if (session.lane === lane && session.hasRoom) return session;
    return undefined;
  }

  #forget(): void {
    this.#last = undefined;
  }

  // Solo workers are started for those who wait: as long as a sidecar answers, one may come.
  #unavailable(lane: Lane): boolean {
    // Who waits for a cluster that has gone waits elsewhere from the next tick on.
    if (lane === 'bulk' || lane === 'bulk_solo') return false;
    const latestMs = performance.now() - this.#options.unavailableAfterMs;
    return lane === 'solo' ? this.#sidecarSeenMs < latestMs : !this.ready() && this.#workerSeenMs < latestMs;
  }

  #tick(): void {
    for (const session of [...this.#sessions.values()]) session.tick();
    if (this.ready()) this.#workerSeenMs = performance.now();
    if (this.#view.answers) this.#sidecarSeenMs = performance.now();
    this.#leaveCluster();
    for (const lane of ['shared', 'solo'] as const) {
      if (this.#unavailable(lane)) for (const run of this.#waiting[lane]) run.fail(engineUnavailable());
    }
    this.#look();
  }

  #leaveCluster(): void {
    for (const lane of ['bulk', 'bulk_solo'] as const) {
      if (this.#isThere(lane)) continue;
      const waiting = [...this.#waiting[lane]];
      this.#waiting[lane].clear();
      for (const run of waiting) this.#place(run);
    }
  }

  #look(): void {
    const soloWaiting = this.#waiting.solo.size;
    void this.#view.poll(soloWaiting).then(() => {
      this.#open();
      // A solo worker is on its way, or a poll that began earlier has not asked for one yet.
      if (this.#waiting.solo.size > 0 && !this.#closed) {
        clearTimeout(this.#soonTimer);
        this.#soonTimer = setTimeout(() => this.#look(), soonMs).unref();
      }
    });
  }

  #open(): void {
    if (this.#closed) return;
    const now = performance.now();
    for (const { address, state, lane } of this.#view.workers) {
      const session = this.#sessions.get(address);
      if (session !== undefined) {
        if (state === WorkerState.WORKER_STATE_DRAINING) session.draining = true;
      } else if (state === WorkerState.WORKER_STATE_READY && now >= (this.#notBefore.get(address) ?? 0)) {
        this.#openSession(address, laneOf(lane));
      }
    }
  }

  #openSession(address: string, lane: Lane): void {
    const session = new WorkerSession(
      this.#sessionDeps,
      { address, lane },
      {
        onRoom: () => this.#pump(lane),
        onReturned: (run) => this.#takeBack(run),
        onLost: () => {
          if (this.#sessions.get(address) === session) this.#sessions.delete(address);
          this.#notBefore.set(address, performance.now() + reopenMs);
          // Ports are used again and again; only the recent ones matter.
          if (this.#notBefore.size > 1_000) this.#notBefore.clear();
          if (!this.#closed) setTimeout(() => this.#look(), reopenMs).unref();
        },
      },
    );
    this.#sessions.set(address, session);
  }

  #takeBack(run: SidecarRun): void {
    // That somebody else was faster at a solo worker says nothing against the run.
    if (!isSolo(this.#laneOf(run))) run.returns += 1;
    if (run.returns > returnMax) {
      run.fail(engineUnavailable());
      return;
    }
    this.#place(run);
  }

  async #ask<T>(
    call: (supervisor: SupervisorClient) => Promise<T>,
    ctx: SupervisorCallContext,
    dialect?: Dialect,
  ): Promise<T> {
    const able = () => (dialect === undefined ? this.#view.supervisors : this.#view.supervisorsOf(dialect));
    if (able().length === 0) await this.#view.poll(0);
    let failure = engineUnavailable();
    for (const supervisor of able()) {
      try {
        return await call(supervisor);
      } catch (error) {
        if (!(error instanceof AppError) || error.reason !== 'ENGINE_UNAVAILABLE') throw error;
        failure = error;
      }
      if (Date.now() >= ctx.deadlineMs) break;
    }
    throw failure;
  }
}

function loadOf(session: WorkerSession): number {
  // A slow one gets nothing while another one has room.
  return session.isSlow ? session.inFlight + 1_000_000 : session.inFlight;
}
