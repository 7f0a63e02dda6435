import { randomBytes } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import type { Tracer } from '@opentelemetry/api';
import type { Address } from '@signet/kit/config/env.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import type { Worker } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { Dialect } from '../engine/engine.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import { isSolo, type Lane, lanes, runsAlone } from './lane.ts';
import { createOptimizerHost, type OptimizerHost } from './optimizer-host.ts';
import { type PoolTotals, PoolView } from './pool-view.ts';
import { SidecarRun, type SidecarRunContext, type SidecarRunInput, type SidecarRunResult } from './sidecar-run.ts';
import { engineUnavailable } from './supervisor-client.ts';
import { createSupervisors, type Supervisors } from './supervisors.ts';
import { WorkerSessions } from './worker-sessions.ts';

const tickMs = 1_000;
const returnMax = 3;
const soonMs = 250;

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

/** Every worker of every sidecar as one place to run programs. */
export class SidecarPool {
  /** Who answers what needs no worker of ours. */
  readonly supervisors: Supervisors;
  readonly #options: Required<SidecarPoolOptions>;
  readonly #view: PoolView;
  readonly #metadata = new Metadata();
  readonly #sessions: WorkerSessions;
  readonly #waiting: Readonly<Record<Lane, Set<SidecarRun>>> = {
    shared: new Set(),
    solo: new Set(),
    bulk: new Set(),
    bulk_solo: new Set(),
  };
  readonly #timer: NodeJS.Timeout;
  #soonTimer: NodeJS.Timeout | undefined;
  #workerSeenMs = performance.now();
  #sidecarSeenMs = performance.now();
  #closed = false;

  constructor(deps: SidecarPoolDeps, options: SidecarPoolOptions) {
    this.#options = { waitingMax: 1_000, silentMaxMs: 10_000, unavailableAfterMs: 10_000, ...options };
    const metadata = this.#metadata;
    metadata.set('authorization', `Bearer ${deps.internalToken}`);
    const { lm, tools, tracer, log } = deps;
    const executor = randomBytes(6).toString('hex');
    const { silentMaxMs } = this.#options;
    this.#sessions = new WorkerSessions(
      { lm, tools, tracer, log, metadata, executor, silentMaxMs },
      {
        onRoom: (lane) => this.#pump(lane),
        onReturned: (run) => this.#takeBack(run),
        onGone: () => this.#look(),
      },
    );
    this.#view = new PoolView({ metadata, log }, options.addresses);
    this.supervisors = createSupervisors(this.#view);
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
    this.#look();
  }

  /** True if a worker is there to begin any run. Solo workers do not count, as they come when somebody waits for one, nor does a cluster. */
  ready(): boolean {
    return this.#sessions.isThere('shared');
  }

  /** How the pool is now: what its instruments show. */
  gauges(): PoolGauges {
    const { workers, totals } = this.#view;
    return { inFlight: this.#sessions.inFlight, waiting: this.#waitingCount, workers, totals };
  }

  /** Where optimizers run, each in a process of its own. */
  optimizers(): OptimizerHost {
    return createOptimizerHost({ supervisors: () => this.#view.supervisors, metadata: this.#metadata });
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

  /** Ends every session; runs that have not ended fail. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soonTimer);
    for (const run of this.#allWaiting()) run.fail(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
    this.#sessions.close();
    this.#view.close();
  }

  #place(run: SidecarRun): void {
    if (this.#closed) {
      run.fail(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
      return;
    }
    const lane = this.#laneOf(run);
    const waiting = this.#waiting[lane];
    const session = waiting.size === 0 ? this.#sessions.choose(lane) : undefined;
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
    if (input.isBulk && this.#sessions.isThere(onCluster)) return onCluster;
    return alone ? 'solo' : 'shared';
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
      const session = this.#sessions.choose(lane);
      if (session === undefined) return;
      waiting.delete(run);
      session.start(run);
    }
  }

  // Solo workers are started for those who wait: as long as a sidecar answers, one may come.
  #unavailable(lane: Lane): boolean {
    // Who waits for a cluster that has gone waits elsewhere from the next tick on.
    if (lane === 'bulk' || lane === 'bulk_solo') return false;
    const latestMs = performance.now() - this.#options.unavailableAfterMs;
    return lane === 'solo' ? this.#sidecarSeenMs < latestMs : !this.ready() && this.#workerSeenMs < latestMs;
  }

  #tick(): void {
    this.#sessions.tick();
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
      if (this.#sessions.isThere(lane)) continue;
      const waiting = [...this.#waiting[lane]];
      this.#waiting[lane].clear();
      for (const run of waiting) this.#place(run);
    }
  }

  #look(): void {
    const soloWaiting = this.#waiting.solo.size;
    void this.#view.poll(soloWaiting).then(() => {
      if (this.#closed) return;
      this.#sessions.open(this.#view.workers);
      // A solo worker is on its way, or a poll that began earlier has not asked for one yet.
      if (this.#waiting.solo.size > 0) {
        clearTimeout(this.#soonTimer);
        this.#soonTimer = setTimeout(() => this.#look(), soonMs).unref();
      }
    });
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
}
