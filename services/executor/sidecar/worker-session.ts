import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { credentials } from '@grpc/grpc-js';
import type { Tracer } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { channelOptions } from '@signet/kit/grpc/server.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import {
  type ExecutorFrame,
  type LmCall,
  type Ready,
  type RunError,
  type SessionRequest,
  type SessionResponse,
  SidecarServiceClient,
  type Step,
  type ToolCall,
  type WorkerFrame,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import { answerLmCall } from './answer-lm-call.ts';
import { answerToolCall } from './answer-tool-call.ts';
import { FrameOutbox } from './frame-outbox.ts';
import { isSolo, type Lane } from './lane.ts';
import { isReturned, loseRun, runFailure } from './run-failure.ts';
import type { SidecarRun } from './sidecar-run.ts';

const heartbeatMs = 3_000;
const slowMs = 2_000;
// A worker takes 10,000 programs a session; a session near that makes way for a fresh one.
const programMax = 9_000;

/** What a session needs. */
export type WorkerSessionDeps = {
  readonly lm: LanguageModel;
  readonly tools: ToolCaller;
  readonly tracer: Tracer;
  readonly log: Logger;
  readonly metadata: Metadata;
  /** The random name of this process. */
  readonly executor: string;
  /** A worker that has been silent for so long is lost. */
  readonly silentMaxMs: number;
};

/** What a session tells its pool. */
export type WorkerSessionEvents = {
  /** It can take more than before. */
  onRoom(): void;
  /** The worker has sent a run back unbegun. */
  onReturned(run: SidecarRun): void;
  /** It is over; its runs have failed already. */
  onLost(session: WorkerSession): void;
};

/** One stream to one worker; frames of many runs share it. */
export class WorkerSession {
  /** `host:port`. */
  readonly address: string;
  readonly lane: Lane;
  /** The worker, once it has said who it is. */
  worker: Ready | undefined;
  /** True while nothing new may be sent. */
  draining = false;
  readonly #deps: WorkerSessionDeps;
  readonly #events: WorkerSessionEvents;
  readonly #client: SidecarServiceClient;
  readonly #stream: ClientDuplexStream<SessionRequest, SessionResponse>;
  readonly #outbox: FrameOutbox;
  readonly #defined = new Set<string>();
  readonly #runs = new Map<bigint, SidecarRun>();
  #nextRun = 1n;
  #credit = 0;
  #busyMs = 0;
  #heardMs = performance.now();
  #saidMs = performance.now();
  #over = false;
  #isRetiring = false;

  constructor(deps: WorkerSessionDeps, at: { address: string; lane: Lane }, events: WorkerSessionEvents) {
    const { address } = at;
    this.address = address;
    this.lane = at.lane;
    this.#deps = deps;
    this.#events = events;
    this.#client = new SidecarServiceClient(address, credentials.createInsecure(), {
      ...channelOptions,
      'grpc.use_local_subchannel_pool': 1,
    });
    this.#stream = this.#client.session(deps.metadata);
    this.#outbox = new FrameOutbox((frames) => void this.#stream.write({ frames }));
    this.#stream.on('data', (message: SessionResponse) => this.#receive(message));
    this.#stream.on('error', (error) => this.#lose(error.message));
    this.#stream.on('end', () => this.#lose('the worker ended the session'));
    this.#send({ $case: 'hello', value: { executor: deps.executor } });
  }

  /** True if it takes one run at a time. */
  get isSolo(): boolean {
    return isSolo(this.lane);
  }

  /** True if it is there and stays. */
  get isReady(): boolean {
    return this.worker !== undefined && !this.draining;
  }

  /** Runs that the worker has, those included whose callers have gone. */
  get inFlight(): number {
    return this.#runs.size;
  }

  /** True if the worker says nothing for longer than a heartbeat takes, or that DSPy's loop has not turned for long. */
  get isSlow(): boolean {
    return this.#busyMs > slowMs || performance.now() - this.#heardMs > heartbeatMs + slowMs;
  }

  /** True if the worker may be sent one more run. */
  get hasRoom(): boolean {
    return !this.#over && !this.draining && this.worker !== undefined && this.#runs.size < this.#credit;
  }

  /** Sends a run to the worker; `hasRoom` must be true. */
  start(run: SidecarRun): void {
    const { named, inputsJson, lmOptionsJson, executionId } = run.input;
    const { ref, program } = named;
    if (!this.#defined.has(ref)) {
      this.#defined.add(ref);
      this.#send({ $case: 'define', value: { ref, program } });
      if (this.#defined.size >= programMax) this.draining = true;
    }
    const number = this.#nextRun;
    this.#nextRun += 1n;
    this.#runs.set(number, run);
    run.startedMs = performance.now();
    run.whenEnded(() => {
      if (this.#runs.has(number)) this.#send({ $case: 'cancel', value: { run: number } });
    });
    this.#send({
      $case: 'start',
      value: {
        run: number,
        ref,
        inputsJson: Buffer.from(inputsJson),
        deadlineMs: BigInt(Math.max(1, Math.ceil(run.ctx.deadlineMs - Date.now()))),
        traceparent: traceparentOf(run.ctx.trace),
        executionId,
        lmOptionsJson: Buffer.from(lmOptionsJson),
      },
    });
  }

  /** To be called every second or so: says that we live and looks whether the worker does. */
  tick(): void {
    const now = performance.now();
    if (now - this.#heardMs > this.#deps.silentMaxMs) {
      this.#lose('the worker is silent');
      return;
    }
    if (now - this.#saidMs >= heartbeatMs) {
      this.#saidMs = now;
      this.#send({ $case: 'heartbeat', value: { busyMs: 0n, inFlight: this.#runs.size, rssBytes: 0n } });
    }
    if (this.#defined.size >= programMax && this.#runs.size === 0) this.#lose('the session is worn out');
  }

  /** Ends the session; its runs fail with SHUTTING_DOWN unless they have ended. */
  close(): void {
    const error = new AppError('SHUTTING_DOWN', 'The executor is shutting down');
    for (const run of this.#runs.values()) run.fail(error);
    this.#lose('closed');
  }

  #send(kind: NonNullable<ExecutorFrame['kind']>): void {
    if (!this.#over) this.#outbox.add({ kind });
  }

  #receive(message: SessionResponse): void {
    this.#heardMs = performance.now();
    for (const frame of message.frames) {
      if (this.#over) return;
      this.#take(frame.kind);
    }
  }

  #take(kind: WorkerFrame['kind']): void {
    switch (kind?.$case) {
      case 'ready':
        this.worker = kind.value;
        this.#credit = kind.value.credit;
        this.#events.onRoom();
        return;
      case 'lmCall':
        void this.#answer(kind.value);
        return;
      case 'step':
        this.#step(kind.value);
        return;
      case 'result':
        this.#finish(kind.value.run)?.succeed(kind.value, this.worker?.worker ?? '', this.lane);
        this.#leaveIfDone();
        return;
      case 'error':
        this.#fail(kind.value);
        this.#leaveIfDone();
        return;
      case 'toolCall':
        void this.#callTool(kind.value);
        return;
      case 'retiring':
        this.#isRetiring = true;
        this.draining = true;
        this.#leaveIfDone();
        return;
      case 'heartbeat':
        this.#busyMs = Number(kind.value.busyMs);
        return;
      case 'credit':
        this.#credit = kind.value.limit;
        this.#events.onRoom();
        return;
      default:
        return;
    }
  }

  #step(step: Step): void {
    const run = this.#runs.get(step.run);
    if (run !== undefined && !run.ended) run.ctx.onStep?.(step);
  }

  async #answer(call: LmCall): Promise<void> {
    const run = this.#runs.get(call.run);
    // The run has ended on both sides: nobody waits for this answer.
    if (run === undefined) return;
    const value = await answerLmCall(this.#deps.lm, run, call);
    if (this.#runs.has(call.run)) this.#send({ $case: 'lmReply', value });
  }

  async #callTool(call: ToolCall): Promise<void> {
    const run = this.#runs.get(call.run);
    if (run === undefined) return;
    const value = await answerToolCall(this.#deps.tools, run, call);
    if (this.#runs.has(call.run)) this.#send({ $case: 'toolReply', value });
  }

  // The worker waits for this: until the session ends, a run might be on its way to it.
  #leaveIfDone(): void {
    if (this.#isRetiring && this.#runs.size === 0) this.#lose('the worker retires');
  }

  #finish(number: bigint): SidecarRun | undefined {
    const run = this.#runs.get(number);
    this.#runs.delete(number);
    if (run !== undefined) this.#events.onRoom();
    return run;
  }

  #fail(error: RunError): void {
    const returned = isReturned(error);
    // Before room is announced: else the run would come straight back.
    if (returned && error.reason === 'SHUTTING_DOWN') this.draining = true;
    // A solo worker says when it is free again; of a shared one we only know that it took fewer.
    if (returned && error.reason === 'QUEUE_FULL') this.#credit = this.isSolo ? 0 : Math.max(1, this.#runs.size - 1);
    const run = this.#finish(error.run);
    if (run === undefined || run.ended) return;
    if (returned) {
      this.#events.onReturned(run);
      return;
    }
    const failure = runFailure(error, run);
    if (failure.reason === 'INTERNAL') this.#deps.log.error({ err: failure.cause }, 'the sidecar failed');
    run.fail(failure);
  }

  #lose(why: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.on('error', () => {});
    this.#stream.cancel();
    this.#client.close();
    const { isSolo } = this;
    const worker = { name: this.worker?.worker ?? this.address, pid: this.worker?.pid ?? 0, isSolo };
    const runs = [...this.#runs.values()];
    this.#runs.clear();
    const lost = runs.filter((run) => !run.ended).length;
    this.#deps.log[lost > 0 ? 'warn' : 'info'](
      { worker: worker.name, address: this.address, lost, why },
      'session ended',
    );
    for (const run of runs) loseRun(run, worker, this.#deps.tracer);
    this.#events.onLost(this);
  }
}
