import type { Context } from '@opentelemetry/api';
import type { CallContext } from '@signet/kit/call-context.ts';
import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { JsonError, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineEvent, EngineRun, LmEndpoint, RunContext } from '../engine/engine.ts';
import type { LiveExecution } from '../execution/live.ts';
import type { LmCalls } from '../lm/language-model.ts';
import type { CallPlan } from './plan-call.ts';

// Engines promise to come back within 2 s of an abort; one that breaks its word is left behind.
const giveUpMs = 2_500;

/** One run of an engine. */
export type EngineCall = {
  readonly plan: Pick<CallPlan, 'program' | 'engine' | 'lm' | 'maxRetries'>;
  readonly live: LiveExecution;
  readonly values: JsonObject;
  readonly inputsJson: string;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  /** The call that waits for it; undefined if nobody does. */
  readonly caller: Pick<CallContext, 'signal'> | undefined;
  readonly trace: Context;
  readonly onEvent: ((event: EngineEvent) => void) | undefined;
  /** How often an engine began it, this time included; absent means once. */
  readonly attempts?: number;
  /** True to run it in a process of its own. */
  readonly alone?: boolean;
  /** See RunContext. */
  readonly isBulk?: boolean | undefined;
  /** True if text is to be told as it grows. */
  readonly wantsText: boolean;
  /** What keeps its calls of language models. */
  readonly lmCalls: LmCalls;
};

/** What a run gave, its outputs checked. */
export type CheckedRun = CheckedOutputs & { readonly run: EngineRun };

/** Outputs that fit their signature, as they are kept. */
export type CheckedOutputs = { readonly outputsJson: string; readonly outputs: JsonObject };

/** Runs the engine once and checks what it gave: outputs are as untrusted as any input. Throws the reason of an abort if there was one. */
export async function runEngine(clock: Clock, call: EngineCall): Promise<CheckedRun> {
  const { plan, live } = call;
  const surroundings = new Surroundings(clock, call);
  try {
    const running = plan.engine.run(plan.program.engineProgram, call.values, call.inputsJson, surroundings);
    const run = await (plan.engine.settlesItself === true ? running : bounded(running, live));
    return { run, ...checkOutputs(plan, run.outputsJson) };
  } catch (error) {
    throw live.abortReason ?? error;
  } finally {
    surroundings.disarm();
  }
}

/** The error when an execution's time is over. */
export function deadlineExceeded(): AppError {
  return new AppError('DEADLINE_EXCEEDED', 'The deadline passed before the execution ended');
}

function bounded(running: Promise<EngineRun>, live: LiveExecution): Promise<EngineRun> {
  return new Promise((resolve, reject) => {
    running.then(resolve, reject);
    live.onAbort((reason) => void setTimeout(reject, giveUpMs, reason).unref());
  });
}

/** Reads and checks what an engine gave. LM_REPLY_UNREADABLE if it does not fit. */
export function checkOutputs(
  { program, engine }: Pick<EngineCall['plan'], 'program' | 'engine'>,
  outputsJson: string,
): CheckedOutputs {
  let value: JsonValue;
  try {
    value = parseJson(outputsJson);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw unfit(engine.name, 'outputs', error.message, error.reason);
  }
  const result = program.checkOutputs(value);
  if (!result.ok) {
    const [first] = result.violations;
    throw unfit(engine.name, first!.field, first!.description, first!.reason);
  }
  const given = (value as JsonObject).entries();
  for (const [name, checked] of result.values) {
    const next = given.next().value;
    if (next === undefined || next[0] !== name || next[1] !== checked) {
      return { outputsJson: writeJson(result.values), outputs: result.values };
    }
  }
  return { outputsJson, outputs: result.values };
}

function unfit(engine: string, field: string, description: string, reason: string): AppError {
  return new AppError('LM_REPLY_UNREADABLE', `Output validation failed: ${field}: ${description}`, {
    fieldViolations: [{ field, reason, description }],
    metadata: { engine },
  });
}

/** What an engine knows of its run. Timers and listeners come into being when it first asks for the signal. */
class Surroundings implements RunContext {
  readonly executionId: string;
  readonly deadlineMs: number;
  readonly trace: Context;
  readonly lm: LmEndpoint | undefined;
  readonly lmCalls: LmCalls;
  readonly maxRetries: number;
  readonly attempts: number;
  readonly onEvent?: (event: EngineEvent) => void;
  readonly wantsText: boolean;
  readonly isBulk: boolean;
  alone: boolean;
  hasShownText = false;
  private readonly clock: Clock;
  private readonly live: LiveExecution;
  private readonly caller: EngineCall['caller'];
  private timer: NodeJS.Timeout | undefined;
  private isArmed = false;

  constructor(clock: Clock, call: EngineCall) {
    this.clock = clock;
    this.executionId = call.live.id;
    this.deadlineMs = call.deadlineMs;
    this.trace = call.trace;
    this.lm = call.plan.lm;
    this.lmCalls = call.lmCalls;
    this.maxRetries = call.plan.maxRetries;
    this.attempts = call.attempts ?? 1;
    this.live = call.live;
    this.caller = call.caller;
    const { onEvent } = call;
    if (onEvent !== undefined) {
      this.onEvent = (event) => {
        if (event.kind === 'token') this.hasShownText = true;
        onEvent(event);
      };
    }
    this.wantsText = call.wantsText;
    this.alone = call.alone ?? false;
    this.isBulk = call.isBulk ?? false;
  }

  isLost(): boolean {
    return this.live.record.isLost;
  }

  get signal(): AbortSignal {
    if (!this.isArmed) this.arm();
    return this.live.signal;
  }

  disarm(): void {
    if (!this.isArmed) return;
    clearTimeout(this.timer);
    this.caller?.signal.removeEventListener('abort', this.onCallerGone);
  }

  private arm(): void {
    this.isArmed = true;
    const leftMs = Math.min(Math.max(this.deadlineMs - this.clock.now().getTime(), 0), 2_000_000_000);
    this.timer = setTimeout(() => this.live.abort(deadlineExceeded()), leftMs);
    if (this.caller === undefined) return;
    this.caller.signal.addEventListener('abort', this.onCallerGone);
    if (this.caller.signal.aborted) this.onCallerGone();
  }

  private readonly onCallerGone = (): void => {
    const { reason } = this.caller!.signal;
    this.live.abort(reason instanceof AppError ? reason : new AppError('CANCELLED', 'The caller went away'));
  };
}
