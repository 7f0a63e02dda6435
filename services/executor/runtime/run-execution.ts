import { type Context, type Link, type Span, SpanKind, trace } from '@opentelemetry/api';
import type { CallContext } from '@signet/kit/call-context.ts';
import type { Clock } from '@signet/kit/clock.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { endSpan } from '@signet/kit/telemetry/span.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import type { EngineEvent, EngineRun } from '../engine/engine.ts';
import type { EndRow } from '../execution/execution.ts';
import { faultOf } from '../execution/fault.ts';
import type { Ending, LiveExecution } from '../execution/live.ts';
import type { CallPlan } from './plan-call.ts';
import { type CheckedRun, runEngine } from './run-engine.ts';
import type { RunInstruments } from './run-instruments.ts';

/** What running an execution needs. */
export type RunDeps = {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly instruments: RunInstruments;
  readonly log: Logger;
};

/** An execution that is recorded and may run now. */
export type BegunExecution = {
  readonly plan: Pick<CallPlan, 'program' | 'engine' | 'lm' | 'maxRetries'>;
  readonly live: LiveExecution;
  readonly span: Span;
  readonly trace: Context;
  readonly values: JsonObject;
  readonly inputsJson: string;
  readonly deadlineMs: number;
  readonly caller: Pick<CallContext, 'signal'> | undefined;
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
  let checked: CheckedRun | undefined;
  let failure: unknown;
  try {
    checked = await runEngine(deps.clock, begun);
  } catch (error) {
    failure = error;
  }
  const nowMs = deps.clock.steadyMs();
  const timing = { startedAt, engineMs: nowMs - engineMs, durationMs: round(nowMs - begun.sinceMs) };
  const { ending, row } = checked === undefined ? failed(begun, failure, timing) : completed(begun, checked, timing);
  try {
    await endExecution(begun, ending, row);
    deps.instruments.ended(begun.plan.engine.name, ending, tokensOf(checked?.run));
  } catch (error) {
    endSpan(begun.span, error);
    throw error;
  }
  if (failure !== undefined) logInternal(deps.log, begun.live.id, failure);
  endSpan(begun.span, failure);
  return ending;
}

async function endExecution(begun: BegunExecution, ending: Ending, row: EndRow): Promise<void> {
  await begun.live.record.finish(row);
  begun.live.emit({ kind: 'state', sequence: row.lastSequence, status: ending.status });
  begun.live.emit({ kind: 'end', sequence: row.lastSequence + 1, ending });
}

type Timing = { readonly startedAt: Date; readonly engineMs: number; readonly durationMs: number };

function completed(begun: BegunExecution, { run, outputsJson }: CheckedRun, timing: Timing) {
  const ending: Ending = { status: 'completed', outputsJson, fault: undefined, durationMs: timing.durationMs };
  return { ending, row: rowOf(begun, ending, timing, run, null) };
}

function failed(begun: BegunExecution, thrown: unknown, timing: Timing) {
  const fault = faultOf(thrown);
  const status = fault.reason === 'CANCELLED' ? 'cancelled' : 'failed';
  const ending: Ending = { status, outputsJson: undefined, fault, durationMs: timing.durationMs };
  return { ending, row: rowOf(begun, ending, timing, undefined, fault.reason) };
}

function rowOf(
  begun: BegunExecution,
  ending: Ending,
  timing: Timing,
  run: EngineRun | undefined,
  error: string | null,
): EndRow {
  const { plan, live, attempts, caller } = begun;
  // A detached execution has counted its losses itself.
  const workerLosses = begun.workerLosses + (error === 'WORKER_LOST' && caller !== undefined ? 1 : 0);
  const tokens = tokensOf(run);
  const engineMs = round(timing.engineMs);
  return {
    status: ending.status,
    outputsJson: ending.outputsJson ?? null,
    errorJson: ending.fault === undefined ? null : JSON.stringify(ending.fault),
    durationMs: ending.durationMs,
    metricsJson: `{"tokens_in":${run?.tokensIn ?? 0},"tokens_out":${run?.tokensOut ?? 0},"lm_calls":${run?.lmCalls ?? 0},"queue_ms":${round(run?.queueMs ?? 0)},"engine_ms":${engineMs},"attempts":${attempts}}`,
    traceJson: `[{"step":"${plan.program.engineProgram.module}","implementation":"${plan.engine.name}","started_at":"${timing.startedAt.toISOString()}","duration_ms":${engineMs},"tokens":${tokens},"error":${error === null ? 'null' : `"${error}"`}}]`,
    attempts,
    workerLosses,
    lastSequence: live.nextSequence(),
  };
}

function tokensOf(run: EngineRun | undefined): number {
  return run === undefined ? 0 : run.tokensIn + run.tokensOut;
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

// The caller is told nothing of an unexpected failure; the log and the row's traceback hold it.
function logInternal(log: Logger, executionId: string, failure: unknown): void {
  const error = normalizeError(failure);
  if (error.reason === 'INTERNAL') log.error({ err: error.cause, execution_id: executionId }, 'an execution broke');
}
