import { type Context, type Link, type Span, SpanKind, trace } from '@opentelemetry/api';
import type { CallContext } from '@signet/kit/call-context.ts';
import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { endSpan } from '@signet/kit/telemetry/span.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import type { EngineEvent, EngineName, EngineRun, Routing } from '../engine/engine.ts';
import type { EndRow } from '../execution/execution.ts';
import { faultOf } from '../execution/fault.ts';
import type { Ending, LiveExecution } from '../execution/live.ts';
import { ExecutionLmCalls, type LmCallDeps, type LmCallRow, type LmFigures } from '../execution/lm-calls.ts';
import type { Keeping, PendingAnswers } from '../execution/pending-answers.ts';
import { CallTape } from '../shadow/call-tape.ts';
import type { RunFigures } from '../shadow/shadow.ts';
import { figuresOf, type ShadowRunner } from '../shadow/shadow-runner.ts';
import type { RanModule } from './module-instruments.ts';
import type { CallPlan } from './plan-call.ts';
import { type CheckedRun, checkOutputs, runEngine } from './run-engine.ts';
import type { RunInstruments } from './run-instruments.ts';

/** What running an execution needs. */
export type RunDeps = LmCallDeps & {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly instruments: RunInstruments;
  readonly shadowRunner: ShadowRunner;
};

/** An execution that is recorded and may run now. */
export type BegunExecution = {
  readonly plan: Pick<CallPlan, 'program' | 'engine' | 'shadow' | 'lm' | 'maxRetries'>;
  readonly live: LiveExecution;
  readonly span: Span;
  readonly trace: Context;
  readonly values: JsonObject;
  readonly inputsJson: string;
  readonly deadlineMs: number;
  readonly caller: Pick<CallContext, 'signal'> | undefined;
  /** True if it is run again should this process be lost; absent means that nobody waits for it on the line. */
  readonly isDurable?: boolean;
  /** See RunContext. */
  readonly isBulk?: boolean | undefined;
  /** See LmCallOwner; absent means that each answer is kept before it is passed on. */
  readonly pending?: PendingAnswers | undefined;
  /** Told how the engine ended, before that is committed: nobody outside may hear of it yet. */
  readonly onSettled?: ((ending: Ending) => void) | undefined;
  readonly onEvent: ((event: EngineEvent) => void) | undefined;
  readonly wantsText: boolean;
  /** When it was asked for or claimed, on the steady clock. */
  readonly sinceMs: number;
  readonly attempts: number;
  readonly workerLosses: number;
};

/** Opens the span of an execution, `execute <slug>`. */
export function startExecutionSpan(
  deps: Pick<RunDeps, 'telemetry'>,
  plan: BegunExecution['plan'],
  executionId: string,
  parent: Context,
  links?: Link[],
): { span: Span; context: Context } {
  const span = deps.telemetry.tracer.startSpan(
    `execute ${plan.program.slug}`,
    { kind: SpanKind.INTERNAL, ...(links === undefined ? {} : { links }) },
    parent,
  );
  if (span.isRecording()) {
    span.setAttributes({
      'signet.execution.id': executionId,
      'signet.program.id': plan.program.id,
      'signet.program.slug': plan.program.slug,
      'signet.program.version': plan.program.version,
      'signet.engine': plan.engine.name,
    });
  }
  return { span, context: trace.setSpan(parent, span) };
}

/**
 * Runs the engine and writes the end. Gives how it ended once that is committed; throws only if it could not be written: then nobody may
 * be told of an end.
 */
export async function runExecution(deps: RunDeps, begun: BegunExecution): Promise<Ending> {
  const startedAt = deps.clock.now();
  const engineMs = deps.clock.steadyMs();
  const lmCalls = lmCallsOf(deps, begun);
  const tape = begun.plan.shadow && new CallTape();
  const { checked, failure, repeats } = await runAndRepeat(deps, begun, lmCalls, tape);
  const nowMs = deps.clock.steadyMs();
  const timing = { startedAt, engineMs: nowMs - engineMs, durationMs: round(nowMs - begun.sinceMs), repeats };
  const used = { run: checked?.run, lm: lmCalls.figures };
  const ended = checked === undefined ? failed(begun, failure, timing, used) : completed(begun, checked, timing, used);
  const ending = isDurable(begun) ? { ...ended.ending, metricsJson: ended.row.metricsJson } : ended.ending;
  begun.onSettled?.(ending);
  const row = lmCalls.rows.length === 0 ? ended.row : { ...ended.row, lmCalls: lmCalls.rows };
  try {
    await endExecution(begun, ending, row);
    const module = ranModule(begun.plan.program, checked?.run.routing);
    deps.instruments.ended(engineOf(begun, ending), ending, tokensOf(used), module);
  } catch (error) {
    endSpan(begun.span, error);
    throw error;
  }
  tellRouting(begun.span, checked?.run);
  if (failure !== undefined) logInternal(deps.log, begun.live.id, failure);
  endSpan(begun.span, failure);
  if (tape !== undefined)
    beginShadow(deps, begun, { ending, checked, tape, figures: figuresOf(timing.engineMs, used.run, used.lm) });
  return ending;
}

function engineOf({ plan }: BegunExecution, { engine }: Ending): EngineName {
  return engine ?? plan.engine.name;
}

/** What instruments count a program's module by. */
export function ranModule(program: CallPlan['program'], routing?: Routing): RanModule {
  return { name: program.moduleSettings?.name ?? program.engineProgram.module, strategy: routing?.strategy };
}

function tellRouting(span: Span, run: EngineRun | undefined): void {
  if (run === undefined || !span.isRecording()) return;
  if (run.cacheHit !== undefined) span.setAttribute('signet.cache.hit', run.cacheHit);
  const { routing } = run;
  if (routing === undefined) return;
  span.setAttributes({
    'signet.engine': routing.engine,
    'signet.routing.strategy': routing.strategy ?? 'cache',
    'signet.routing.reason': routing.reason,
    'signet.routing.degraded': routing.degraded,
  });
}

type Outcome = { readonly checked?: CheckedRun; readonly failure?: unknown; readonly repeats: number };

async function runAndRepeat(
  deps: RunDeps,
  begun: BegunExecution,
  kept: ExecutionLmCalls,
  tape: CallTape | undefined,
): Promise<Outcome> {
  const lmCalls = tape?.over(kept) ?? kept;
  try {
    // An earlier owner of the execution may have been answered already.
    if (begun.attempts > 1 && isDurable(begun)) await kept.load();
    return { checked: await runEngine(deps.clock, { ...begun, lmCalls }), repeats: 0 };
  } catch (failure) {
    if (!mayRunAlone(begun, failure)) return { failure, repeats: 0 };
  }
  try {
    // What the model has answered already is not asked again.
    lmCalls.rewind();
    return { checked: await runEngine(deps.clock, { ...begun, lmCalls, alone: true }), repeats: 1 };
  } catch (failure) {
    return { failure, repeats: 1 };
  }
}

type Compared = {
  readonly ending: Ending;
  readonly checked: CheckedRun | undefined;
  readonly tape: CallTape;
  readonly figures: RunFigures;
};

// The answer is given: nothing of this reaches it.
function beginShadow(deps: RunDeps, begun: BegunExecution, { ending, checked, tape, figures }: Compared): void {
  const { plan, live, values, inputsJson } = begun;
  const { program, shadow, lm, maxRetries } = plan;
  const primaryEngine = engineOf(begun, ending);
  if (shadow === undefined || primaryEngine === 'mock') return;
  deps.shadowRunner.begin({
    executionId: live.id,
    programId: program.id,
    slug: program.slug,
    program: program.engineProgram,
    engine: shadow,
    ...{ lm, maxRetries, values, inputsJson, primaryEngine, figures },
    trace: begun.trace,
    primary: { calls: tape.calls, outputs: checked?.outputs, failure: ending.fault?.reason ?? '' },
    readOutputs: (outputsJson) => checkOutputs({ program, engine: shadow }, outputsJson).outputs,
  });
}

async function endExecution(begun: BegunExecution, ending: Ending, row: EndRow): Promise<void> {
  // What is shared with others is waited for by whoever began them all.
  await begun.live.record.finish(row, begun.pending === undefined ? 'soon' : 'patient');
  begun.live.emit({ kind: 'state', sequence: row.lastSequence, status: ending.status });
  begun.live.emit({ kind: 'end', sequence: row.lastSequence + 1, ending });
}

/**
 * True for an attached run that was lost together with others: one of them was the cause, and a repetition in a process of its own tells
 * which. Detached ones are repeated by `runPatiently`.
 */
function mayRunAlone(begun: BegunExecution, failure: unknown): boolean {
  if (isDurable(begun) || begun.live.abortReason !== undefined) return false;
  return failure instanceof AppError && failure.reason === 'WORKER_LOST' && failure.metadata.repeat === 'alone';
}

type Timing = {
  readonly startedAt: Date;
  readonly engineMs: number;
  readonly durationMs: number;
  /** How often it was run again after its worker was lost. */
  readonly repeats: number;
};

/** What a run used, as its engine says and as its calls say, which are also known of a run that failed. */
type Used = { readonly run: EngineRun | undefined; readonly lm: LmFigures };

function completed(begun: BegunExecution, { outputsJson }: CheckedRun, timing: Timing, used: Used) {
  const { durationMs } = timing;
  const { routing, cacheHit = false } = used.run ?? {};
  const degraded = routing?.degraded ?? used.run?.pipeline?.degraded ?? false;
  const ended = { engine: routing?.engine, cacheHit, degraded };
  const ending: Ending = { status: 'completed', outputsJson, fault: undefined, durationMs, ...ended };
  return { ending, row: rowOf(begun, ending, timing, used, null) };
}

function failed(begun: BegunExecution, thrown: unknown, timing: Timing, used: Used) {
  const fault = faultOf(thrown);
  const status = fault.reason === 'CANCELLED' ? 'cancelled' : 'failed';
  const ending: Ending = { status, outputsJson: undefined, fault, durationMs: timing.durationMs };
  return { ending, row: rowOf(begun, ending, timing, used, fault.reason) };
}

function rowOf(begun: BegunExecution, ending: Ending, timing: Timing, used: Used, error: string | null): EndRow {
  const { plan, live } = begun;
  const attempts = begun.attempts + timing.repeats;
  // A detached execution has counted its losses itself.
  const lostAtLast = error === 'WORKER_LOST' && !isDurable(begun) ? 1 : 0;
  const workerLosses = begun.workerLosses + timing.repeats + lostAtLast;
  const tokens = tokensOf(used);
  const engineMs = round(timing.engineMs);
  return {
    status: ending.status,
    outputsJson: ending.outputsJson ?? null,
    errorJson: ending.fault === undefined ? null : JSON.stringify(ending.fault),
    durationMs: ending.durationMs,
    metricsJson: metricsOf(used, engineMs, attempts),
    traceJson: `[{"step":"${plan.program.engineProgram.module}","implementation":"${engineOf(begun, ending)}","started_at":"${timing.startedAt.toISOString()}","duration_ms":${engineMs},"tokens":${tokens},"error":${error === null ? 'null' : `"${error}"`}}]`,
    attempts,
    workerLosses,
    lastSequence: live.nextSequence(),
    ...(ending.engine === undefined ? {} : { engine: ending.engine }),
  };
}

// Written by hand, like the trace: it is part of every execution.
function metricsOf({ run, lm }: Used, engineMs: number, attempts: number): string {
  const cost = lm.cost === undefined ? '' : `"cost":${Number(lm.cost.toFixed(9))},`;
  const model = lm.model === '' ? '' : `"lm":${JSON.stringify(lm.slug)},"model":${JSON.stringify(lm.model)},`;
  return `{"tokens_in":${tokensIn({ run, lm })},"tokens_out":${tokensOut({ run, lm })},${cost}"lm_calls":${Math.max(run?.lmCalls ?? 0, lm.calls)},"lm_ms":${round(lm.lmMs)},${model}"queue_ms":${round(run?.queueMs ?? 0)},"engine_ms":${engineMs},"attempts":${attempts}${cacheText(run)}${handedOverText(run)}${routingText(run?.routing)}${pipelineText(run)}}`;
}

function cacheText(run: EngineRun | undefined): string {
  return run?.cacheHit === undefined ? '' : `,"cache_hit":${run.cacheHit}`;
}

function handedOverText(run: EngineRun | undefined): string {
  return run?.handedOver === undefined || run.handedOver === 0 ? '' : `,"handed_over":${run.handedOver}`;
}

function pipelineText(run: EngineRun | undefined): string {
  if (run?.pipeline === undefined) return '';
  return `,"steps":${run.pipeline.steps},"degraded":${run.pipeline.degraded}`;
}

function routingText(routing: Routing | undefined): string {
  if (routing === undefined) return '';
  const { strategy = 'cache', reason, degraded } = routing;
  return `,"routing":{"strategy":"${strategy}","reason":${JSON.stringify(reason)},"degraded":${degraded}}`;
}

function tokensOf(used: Used): number {
  return tokensIn(used) + tokensOut(used);
}

// Where calls are kept they say it; an engine without calls that anybody keeps says it itself.
function tokensIn({ run, lm }: Used): number {
  return lm.calls > 0 ? lm.tokensIn : (run?.tokensIn ?? 0);
}

function tokensOut({ run, lm }: Used): number {
  return lm.calls > 0 ? lm.tokensOut : (run?.tokensOut ?? 0);
}

function lmCallsOf(deps: LmCallDeps, begun: BegunExecution): ExecutionLmCalls {
  const { live, attempts } = begun;
  if (!isDurable(begun)) {
    return new ExecutionLmCalls(deps, { executionId: live.id, run: attempts });
  }
  const keep = (call: LmCallRow): Keeping => live.record.keep(call);
  return new ExecutionLmCalls(deps, { executionId: live.id, run: attempts, keep, pending: begun.pending });
}

function isDurable({ isDurable: given, caller }: BegunExecution): boolean {
  return given ?? caller === undefined;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

// The caller is told nothing of an unexpected failure; the log and the row's traceback hold it.
function logInternal(log: Logger, executionId: string, failure: unknown): void {
  const error = normalizeError(failure);
  if (error.reason === 'INTERNAL') log.error({ err: error.cause, execution_id: executionId }, 'an execution broke');
}
