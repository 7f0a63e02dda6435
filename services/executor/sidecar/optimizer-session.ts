import { type ClientDuplexStream, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Context } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { isReason } from '@signet/kit/error/reasons.ts';
import { channelOptions } from '@signet/kit/grpc/server.ts';
import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import {
  type LmCall,
  type LmReply,
  type OptimizeMetricCall,
  type OptimizeRequest,
  type OptimizeResponse,
  type OptimizeStart,
  SidecarServiceClient,
} from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { isContextExceeded } from '../lm/failure.ts';
import type { LmCompletion, LmRequest } from '../lm/language-model.ts';
import { framesOf, type OptimizerExamples, type Say } from './optimizer-examples.ts';

const heartbeatMs = 3_000;
const silentMaxMs = 20_000;
const forceAfterMs = 3_000;

/** What calls of a model are made for: the program, one that shows how it is done, proposals and reflection, the measure. */
export const lmRoles = ['task', 'teacher', 'prompt', 'metric'] as const;

/** Which model a call is meant for. */
export type LmRole = (typeof lmRoles)[number];

/** A candidate as the process tells it. */
export type ToldTrial = {
  readonly number: number;
  /** 0 to 1; undefined if it was not measured. */
  readonly score: number | undefined;
  readonly examples: number;
  readonly isFull: boolean;
  readonly stateJson: string;
  readonly note: string;
};

/** How far it is, in its words. */
export type ToldProgress = {
  readonly phase: string;
  readonly trial: number;
  readonly trials: number;
  readonly message: string;
};

/** Answers what the process asks, and hears what it tells. */
export type OptimizerListener = {
  /** What a language model says; a failure is passed on to the process. */
  complete(role: LmRole, request: Omit<LmRequest, 'endpoint'>, traceparent: string): Promise<LmCompletion>;
  /** How good an output is; a failure counts as one of the example. */
  score(call: {
    readonly inputsJson: string;
    readonly expectedJson: string;
    readonly outputsJson: string;
  }): Promise<{ readonly score: number; readonly feedback: string; readonly error: string }>;
  /** What a tool says, as JSON text. */
  callTool(name: string, argsJson: string, trace: Context): Promise<string>;
  onTrial(trial: ToldTrial): Promise<void>;
  onProgress(progress: ToldProgress): void;
  onLog(level: string, text: string): void;
};

/** What an optimizer came to. */
export type OptimizerEnd = {
  readonly stateJson: string;
  /** By its own measuring; undefined if it has none. */
  readonly score: number | undefined;
};

/** One run of one optimizer in a process that is there already. */
export type OptimizerRun = {
  /** `host:port`. */
  readonly address: string;
  readonly start: OptimizeStart;
  readonly examples: OptimizerExamples;
};

/**
 * Has a process optimize. Fails with the reason that the process gives, with WORKER_LOST if it dies or falls silent, and, once the signal is
 * aborted, with the reason of that: the process is asked to end, and `force` is called if it has not after 3 s.
 */
export async function runOptimizer(
  deps: { readonly metadata: Metadata; readonly force: () => void },
  run: OptimizerRun,
  listener: OptimizerListener,
  ctx: { readonly signal: AbortSignal; readonly trace: Context },
): Promise<OptimizerEnd> {
  const client = new SidecarServiceClient(run.address, credentials.createInsecure(), {
    ...channelOptions,
    'grpc.use_local_subchannel_pool': 1,
  });
  const session = new OptimizerSession(client.optimize(deps.metadata), listener, ctx.trace);
  let forced: NodeJS.Timeout | undefined;
  const stop = (): void => {
    session.stop(reasonOf(ctx.signal));
    forced = setTimeout(() => {
      deps.force();
      session.end(reasonOf(ctx.signal));
    }, forceAfterMs);
  };
  ctx.signal.addEventListener('abort', stop, { once: true });
  if (ctx.signal.aborted) stop();
  try {
    session.send({ $case: 'start', value: run.start });
    for (const frame of framesOf(run.examples)) await session.sendPatiently(frame);
    session.send({ $case: 'begin', value: {} });
    return await session.done;
  } catch (error) {
    // What the process says of its end is that we asked for it.
    throw ctx.signal.aborted ? reasonOf(ctx.signal) : error;
  } finally {
    clearTimeout(forced);
    ctx.signal.removeEventListener('abort', stop);
    session.close();
    client.close();
  }
}

/** One call of Optimize. */
class OptimizerSession {
  readonly done: Promise<OptimizerEnd>;
  readonly #stream: ClientDuplexStream<OptimizeRequest, OptimizeResponse>;
  readonly #listener: OptimizerListener;
  readonly #trace: Context;
  readonly #resolve: (end: OptimizerEnd) => void;
  readonly #reject: (error: AppError) => void;
  readonly #timer: NodeJS.Timeout;
  #heardMs = performance.now();
  #isOver = false;
  /** The last frame has come; what it says follows when all trials are kept. */
  #isTold = false;
  /** Trials are kept in their order, and before the end is told. */
  #kept: Promise<void> = Promise.resolve();

  constructor(
    stream: ClientDuplexStream<OptimizeRequest, OptimizeResponse>,
    listener: OptimizerListener,
    trace: Context,
  ) {
    this.#stream = stream;
    this.#listener = listener;
    this.#trace = trace;
    const { promise, resolve, reject } = Promise.withResolvers<OptimizerEnd>();
    this.done = promise;
    promise.catch(() => {});
    this.#resolve = resolve;
    this.#reject = reject;
    stream.on('data', (message: OptimizeResponse) => this.#receive(message));
    stream.on('error', (error: ServiceError) => this.#lose(error.details || error.message));
    stream.on('end', () => this.#lose('it ended without a word'));
    this.#timer = setInterval(() => this.#beat(), heartbeatMs);
  }

  send(kind: Say): void {
    if (!this.#isOver) this.#stream.write({ kind });
  }

  /** Sends what may be large; resolves when there is room for more. */
  async sendPatiently(kind: Say): Promise<void> {
    if (this.#isOver) return;
    if (this.#stream.write({ kind })) return;
    await Promise.race([new Promise<void>((resolve) => this.#stream.once('drain', resolve)), this.done]);
  }

  /** Asks the process to end. */
  stop({ reason }: AppError): void {
    this.send({ $case: 'stop', value: { reason: reason === 'BUDGET_EXCEEDED' ? reason : 'CANCELLED' } });
  }

  /** Does not wait for the process any longer. */
  end(error: AppError): void {
    this.#isOver = true;
    this.#reject(error);
  }

  close(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#stream.on('error', () => {});
    this.#stream.end();
    this.#stream.cancel();
  }

  #beat(): void {
    this.send({ $case: 'heartbeat', value: { busyMs: 0n, inFlight: 0, rssBytes: 0n } });
    if (performance.now() - this.#heardMs > silentMaxMs) this.#lose('it fell silent');
  }

  #lose(why: string): void {
    if (this.#isOver || this.#isTold) return;
    this.end(new AppError('WORKER_LOST', `The process of the optimizer was lost: ${why.slice(0, 500)}`));
  }

  #receive({ kind }: OptimizeResponse): void {
    this.#heardMs = performance.now();
    if (this.#isOver || kind === undefined) return;
    switch (kind.$case) {
      case 'lmCall':
        void this.#ask(kind.value.role, kind.value.call);
        return;
      case 'metricCall':
        void this.#score(kind.value);
        return;
      case 'toolCall': {
        const { call, tool, argsJson, traceparent } = kind.value;
        const trace = traceparent === '' ? this.#trace : contextFromTraceparent(traceparent);
        void this.#listener.callTool(tool, argsJson.toString(), trace).then((observation) => {
          this.send({ $case: 'toolReply', value: { run: 0n, call, observationJson: Buffer.from(observation) } });
        });
        return;
      }
      case 'trial': {
        const { number, score, examples, full: isFull, stateJson, note } = kind.value;
        const trial = { number, examples, isFull, note, score: measured(score), stateJson: stateJson.toString() };
        this.#keep(() => this.#listener.onTrial(trial));
        return;
      }
      case 'progress':
        this.#listener.onProgress(kind.value);
        return;
      case 'log':
        this.#listener.onLog(kind.value.level, kind.value.text);
        return;
      case 'result': {
        this.#isTold = true;
        const { stateJson, bestScore } = kind.value;
        this.#keep(async () => this.#resolve({ stateJson: stateJson.toString(), score: measured(bestScore) }));
        return;
      }
      case 'error': {
        this.#isTold = true;
        const { reason, message, retryable, pythonType, traceback } = kind.value;
        const known = isReason(reason) ? reason : reason.endsWith('_INVALID') ? 'INVALID_REQUEST' : 'MODULE_FAILED';
        const failure = new AppError(known, message, { retryable, pythonType, traceback });
        this.#keep(async () => this.#reject(failure));
      }
    }
  }

  #keep(work: () => Promise<void>): void {
    this.#kept = this.#kept.then(work).catch((error: unknown) => {
      this.end(normalizeError(error));
    });
  }

  async #ask(role: string, call: LmCall | undefined): Promise<void> {
    if (call === undefined) return;
    let outcome: LmReply['outcome'];
    try {
      const { messages, outputFields, promptAdapter, optionsJson } = call;
      const request = { messages, outputFields, promptAdapter, options: readObject(optionsJson) };
      const known = lmRoles.find((one) => one === role) ?? 'task';
      const completion = await this.#listener.complete(known, request, call.traceparent);
      const { text, streamed, promptTokens, completionTokens, finishReason } = completion;
      const tokens = { promptTokens: BigInt(promptTokens), completionTokens: BigInt(completionTokens) };
      outcome = { $case: 'completion', value: { text, streamed, finishReason, ...tokens } };
    } catch (error) {
      const { reason, message, retryable, retryAfterMs } = normalizeError(error);
      const value = {
        reason,
        message,
        retryable,
        retryAfterMs: BigInt(Math.ceil(retryAfterMs ?? 0)),
        contextExceeded: isContextExceeded(error),
      };
      outcome = { $case: 'failure', value };
    }
    this.send({ $case: 'lmReply', value: { run: 0n, call: call.call, outcome } });
  }

  async #score({ call, inputsJson, expectedJson, outputsJson }: OptimizeMetricCall): Promise<void> {
    const texts = {
      inputsJson: inputsJson.toString(),
      expectedJson: expectedJson.toString(),
      outputsJson: outputsJson.toString(),
    };
    const scored = await this.#listener.score(texts).catch((error: unknown) => {
      return { score: 0, feedback: '', error: normalizeError(error).message };
    });
    this.send({ $case: 'metricReply', value: { call, ...scored } });
  }
}

function measured(score: number): number | undefined {
  return score >= 0 && score <= 1 ? score : undefined;
}

function readObject(json: Buffer): Record<string, unknown> {
  if (json.length === 0) return {};
  const value: unknown = JSON.parse(json.toString());
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function reasonOf(signal: AbortSignal): AppError {
  return signal.reason instanceof AppError
    ? signal.reason
    : new AppError('CANCELLED', 'The optimization was cancelled');
}
