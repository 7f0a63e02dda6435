import { randomBytes } from 'node:crypto';
import { Metadata } from '@grpc/grpc-js';
import type { Tracer } from '@opentelemetry/api';
import type { Address } from '@signet/kit/config/env.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import {
  type Dialect,
  type ProgramDefinition,
  type Signature,
  type Worker,
  WorkerState,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import { PoolView } from './pool-view.ts';
import { moduleFailure } from './run-failure.ts';
import { SidecarRun, type SidecarRunContext, type SidecarRunInput, type SidecarRunResult } from './sidecar-run.ts';
import { engineUnavailable, type SupervisorCallContext, type SupervisorClient } from './supervisor-client.ts';
import { WorkerSession, type WorkerSessionDeps } from './worker-session.ts';

const tickMs = 1_000;
const reopenMs = 200;
const returnMax = 3;
// How many more runs than the least busy worker one may have that is being sent runs anyway.
const aheadMax = 3;

/** What a pool needs. */
export type SidecarPoolDeps = {
  readonly lm: LanguageModel;
  readonly tracer: Tracer;
  readonly log: Logger;
  readonly internalToken: string;
};

/** How a pool may be set up. */
export type SidecarPoolOptions = {
  /** The sidecar; a name may stand for several. */
  readonly address: Address;
  /** Runs that may wait for a place; default 1,000. */
  readonly waitingMax?: number;
  /** A worker that has been silent for so long is lost; default 10 s. */
  readonly silentMaxMs?: number;
  /** For so long runs wait while no worker is there; default 10 s. */
  readonly unavailableAfterMs?: number;
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
  readonly #waiting = new Set<SidecarRun>();
  readonly #timer: NodeJS.Timeout;
  #turn = 0;
  #last: WorkerSession | undefined;
  #workerSeenMs = performance.now();
  #closed = false;

  constructor(deps: SidecarPoolDeps, options: SidecarPoolOptions) {
    this.#options = { waitingMax: 1_000, silentMaxMs: 10_000, unavailableAfterMs: 10_000, ...options };
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${deps.internalToken}`);
    const { lm, tracer, log } = deps;
    const executor = randomBytes(6).toString('hex');
    this.#sessionDeps = { lm, tracer, log, metadata, executor, silentMaxMs: this.#options.silentMaxMs };
    this.#view = new PoolView({ metadata, log }, options.address);
    this.#timer = setInterval(() => this.#tick(), tickMs);
    this.#timer.unref();
    this.#look();
  }

  /** True if a worker is there to begin a run. */
  ready(): boolean {
    for (const session of this.#sessions.values()) if (session.worker !== undefined && !session.draining) return true;
    return false;
  }

  /** The workers as the supervisors last named them. */
  workers(): readonly Worker[] {
    return this.#view.workers;
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
  async compile(
    program: ProgramDefinition,
    ctx: SupervisorCallContext,
  ): Promise<{ dspyProgramId: string; dialect: Dialect | undefined }> {
    const { dspyProgramId, dialect, error } = await this.#ask((supervisor) => supervisor.compile(program, ctx), ctx);
    if (error !== undefined) throw moduleFailure(error);
    return { dspyProgramId, dialect };
  }

  /** What the class behind a name of the allow-list declares, or MODULE_INVALID or SIGNATURE_TYPE. */
  async describe(name: string, ctx: SupervisorCallContext): Promise<DescribedModule> {
    const { signature, error } = await this.#ask((supervisor) => supervisor.describe(name, ctx), ctx);
    if (error !== undefined) throw moduleFailure(error);
    return { name, signature: signature ?? { instructions: '', fields: [] } };
  }

  /** Ends every session; runs that have not ended fail. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const run of this.#waiting) run.fail(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
    for (const session of [...this.#sessions.values()]) session.close();
    this.#view.close();
  }

  #place(run: SidecarRun): void {
    if (this.#closed) {
      run.fail(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
      return;
    }
    const session = this.#waiting.size === 0 ? this.#choose() : undefined;
    if (session !== undefined) {
      session.start(run);
      return;
    }
    if (this.#unavailable()) {
      run.fail(engineUnavailable());
      return;
    }
    if (this.#waiting.size >= this.#options.waitingMax) {
      run.fail(new AppError('QUEUE_FULL', 'Too many executions wait for a worker', { retryAfterMs: 1000 }));
      return;
    }
    this.#waiting.add(run);
    run.whenEnded(() => this.#waiting.delete(run));
  }

  #pump(): void {
    for (const run of this.#waiting) {
      const session = this.#choose();
      if (session === undefined) return;
      this.#waiting.delete(run);
      session.start(run);
    }
  }

  #choose(): WorkerSession | undefined {
    const sessions = [...this.#sessions.values()];
    this.#turn += 1;
    let best: WorkerSession | undefined;
    for (let at = 0; at < sessions.length; at += 1) {
      // Begins elsewhere each time, so that equals share the work.
      const session = sessions[(at + this.#turn) % sessions.length]!;
      if (session.hasRoom && (best === undefined || loadOf(session) < loadOf(best))) best = session;
    }
    if (best === undefined) return undefined;
    const last = this.#last;
    if (last?.hasRoom === true && loadOf(last) < loadOf(best) + aheadMax) return last;
    if (last === undefined) setImmediate(() => this.#forget());
    this.#last = best;
    return best;
  }

  #forget(): void {
    this.#last = undefined;
  }

  #unavailable(): boolean {
    return !this.ready() && performance.now() - this.#workerSeenMs > this.#options.unavailableAfterMs;
  }

  #tick(): void {
    for (const session of [...this.#sessions.values()]) session.tick();
    if (this.ready()) this.#workerSeenMs = performance.now();
    if (this.#unavailable()) for (const run of this.#waiting) run.fail(engineUnavailable());
    this.#look();
  }

  #look(): void {
    void this.#view.poll().then(() => this.#open());
  }

  #open(): void {
    if (this.#closed) return;
    const now = performance.now();
    for (const { address, state } of this.#view.workers) {
      const session = this.#sessions.get(address);
      if (session !== undefined) {
        if (state === WorkerState.WORKER_STATE_DRAINING) session.draining = true;
      } else if (state === WorkerState.WORKER_STATE_READY && now >= (this.#notBefore.get(address) ?? 0)) {
        this.#openSession(address);
      }
    }
  }

  #openSession(address: string): void {
    const session = new WorkerSession(this.#sessionDeps, address, {
      onRoom: () => this.#pump(),
      onReturned: (run) => this.#takeBack(run),
      onLost: () => {
        if (this.#sessions.get(address) === session) this.#sessions.delete(address);
        this.#notBefore.set(address, performance.now() + reopenMs);
        // Ports are used again and again; only the recent ones matter.
        if (this.#notBefore.size > 1_000) this.#notBefore.clear();
        if (!this.#closed) setTimeout(() => this.#look(), reopenMs).unref();
      },
    });
    this.#sessions.set(address, session);
  }

  #takeBack(run: SidecarRun): void {
    run.returns += 1;
    if (run.returns > returnMax) {
      run.fail(engineUnavailable());
      return;
    }
    this.#place(run);
  }

  async #ask<T>(call: (supervisor: SupervisorClient) => Promise<T>, ctx: SupervisorCallContext): Promise<T> {
    if (this.#view.supervisors.length === 0) await this.#view.poll();
    let failure = engineUnavailable();
    for (const supervisor of this.#view.supervisors) {
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
