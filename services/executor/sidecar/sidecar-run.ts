import type { Context } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { ProgramDefinition, Result, Step } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import type { LmCalls, LmCompletion } from '../lm/language-model.ts';
import type { Tool } from '../tool/tool.ts';
import type { Lane } from './lane.ts';

const timerMsMax = 2 ** 31 - 1;
// Given as a reason: without one each abort makes a DOMException with its stack.
const ended = new AppError('CANCELLED', 'The run has ended');

/** A program under the name by which sessions know it: equal refs are equal programs, for all time. */
export type NamedProgram = { readonly ref: string; readonly program: ProgramDefinition };

/** One run that is asked for. */
export type SidecarRunInput = {
  readonly named: NamedProgram;
  /** JSON text of the inputs, checked already. */
  readonly inputsJson: string;
  /** Undefined: a call of the language model fails with LM_NOT_CONFIGURED. */
  readonly lm: LmEndpoint | undefined;
  /** Options of this run's LM calls that win over the program's, JSON text; empty means none. */
  readonly lmOptionsJson: string;
  /** How often a failed LM call is repeated. */
  readonly maxRetries: number;
  readonly executionId: string;
  /** What its agent may call, by name. */
  readonly tools: ReadonlyMap<string, Tool>;
  /** True to keep it away from all other runs. */
  readonly alone: boolean;
  /** True to run it on a cluster if the sidecars have one; absent means false. */
  readonly isBulk?: boolean | undefined;
};

/** What surrounds one run. */
export type SidecarRunContext = {
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  readonly trace: Context;
  /** Given, models are asked for streams. */
  readonly onText?: ((text: { predictor: string; field: string; text: string }) => void) | undefined;
  readonly onStep?: ((step: Step) => void) | undefined;
  /** Told of each call of a model, and asked for answers of earlier runs. */
  readonly lmCalls?: LmCalls | undefined;
};

/** What a run gave. */
export type SidecarRunResult = {
  readonly outputsJson: string;
  readonly lmCalls: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Microseconds that it spent outside LM calls. */
  readonly ownUs: number;
  /** Milliseconds that it waited for a place. */
  readonly queueMs: number;
  readonly worker: string;
  readonly lane: Lane;
};

/** A run from being asked for to its end. It ends once: well, badly, by its caller or by its deadline. */
export class SidecarRun {
  readonly input: SidecarRunInput;
  readonly ctx: SidecarRunContext;
  readonly done: Promise<SidecarRunResult>;
  readonly createdMs = performance.now();
  readonly createdTime = new Date();
  startedMs = 0;
  /** How often a worker has sent it back unbegun. */
  returns = 0;
  /** How often a model was asked. */
  lmCalls = 0;
  /** Calls of a model that have not ended. */
  lmCallsUnderWay = 0;
  /** True once something of it is outside that a repetition would contradict: text that was shown, a tool that changes things. */
  hasEffects = false;
  /** The last failure of an LM call: it knows more than what comes back through Python. */
  lmFailure: AppError | undefined;
  #promptTokens = 0;
  #completionTokens = 0;
  #ended = false;
  #control: AbortController | undefined;
  #onEnd: (() => void) | undefined;
  readonly #resolve: (result: SidecarRunResult) => void;
  readonly #reject: (error: AppError) => void;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => {
    const { reason } = this.ctx.signal;
    this.fail(reason instanceof AppError ? reason : new AppError('CANCELLED', 'The call was cancelled'));
  };

  constructor(input: SidecarRunInput, ctx: SidecarRunContext) {
    this.input = input;
    this.ctx = ctx;
    const { promise, resolve, reject } = Promise.withResolvers<SidecarRunResult>();
    this.done = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    const leftMs = ctx.deadlineMs - Date.now();
    if (ctx.signal.aborted) this.#onAbort();
    else if (leftMs <= 0) this.#late();
    else {
      ctx.signal.addEventListener('abort', this.#onAbort);
      if (leftMs < timerMsMax) this.#timer = setTimeout(() => this.#late(), leftMs);
    }
  }

  /** True once its caller has an answer; the worker may still be at it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Aborted when the run ends while a model is asked or in failure. */
  get signal(): AbortSignal {
    this.#control ??= new AbortController();
    if (this.#ended) this.#control.abort(ended);
    return this.#control.signal;
  }

  /** Has `onEnd` called when the run ends; replaces the one before. */
  whenEnded(onEnd: () => void): void {
    this.#onEnd = onEnd;
  }

  /** Counts what a completion used. */
  count(completion: LmCompletion): void {
    this.#promptTokens += completion.promptTokens;
    this.#completionTokens += completion.completionTokens;
  }

  succeed(result: Result, worker: string, lane: Lane): void {
    // An abort costs more than the rest of the end; only what is still asked has to hear of it.
    if (!this.#end(this.lmCallsUnderWay > 0)) return;
    this.#resolve({
      outputsJson: result.outputsJson.toString(),
      lmCalls: result.lmCalls,
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      ownUs: Number(result.ownUs),
      queueMs: this.startedMs - this.createdMs,
      worker,
      lane,
    });
  }

  fail(error: AppError): void {
    if (this.#end(true)) this.#reject(error);
  }

  #late(): void {
    this.fail(new AppError('DEADLINE_EXCEEDED', 'The deadline passed before the program ended'));
  }

  #end(hasToAbort: boolean): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.ctx.signal.removeEventListener('abort', this.#onAbort);
    if (hasToAbort) this.#control?.abort(ended);
    this.#onEnd?.();
    return true;
  }
}
