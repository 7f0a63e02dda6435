import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { endSpan } from '@signet/kit/telemetry/span.ts';
import { traceIdOf, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { EngineName } from '../engine/engine.ts';
import type { EndRow, ExecutionStatus, StartRow } from '../execution/execution.ts';
import { errorOf, faultOf } from '../execution/fault.ts';
import { type Ending, LiveExecution, type LiveExecutions } from '../execution/live.ts';
import type { Recorder } from '../execution/recorder.ts';
import { type CheckedInputs, checkInputs, checkRequestId, type ExecuteInput } from './call-input.ts';
import { executeOnce, type OnceDeps } from './execute-once.ts';
import type { Gate } from './gate.ts';
import { type CallPlan, type PlanDeps, planCall } from './plan-call.ts';
import { type BegunExecution, type RunDeps, ranModule, runExecution, startExecutionSpan } from './run-execution.ts';

// For the end to be committed and the answer to arrive.
const answerMarginMs = 100;

/** What running a program while its caller waits needs. */
export type ExecuteDeps = PlanDeps &
  RunDeps &
  OnceDeps & { readonly recorder: Recorder; readonly live: LiveExecutions; readonly gate: Gate };

/** How a run ended well, or that it was accepted. */
export type ExecuteResult = {
  readonly executionId: string;
  readonly status: ExecutionStatus;
  readonly outputsJson: string | undefined;
  readonly durationMs: number;
  readonly traceId: string;
  readonly engine: EngineName;
  readonly cacheHit?: boolean;
  readonly degraded?: boolean;
  readonly programId: string;
  readonly version: number;
};

/**
 * Runs a program once and waits. Owns the order: resolve, record, check, run, check, record. The answer is given after its end is
 * committed; a failure is thrown after its row is, and names it.
 */
export async function executeProgram(
  deps: ExecuteDeps,
  input: ExecuteInput,
  ctx: CallContext,
  method = 'ExecuteProgram',
): Promise<ExecuteResult> {
  checkRequestId(input.requestId);
  deps.gate.enter();
  try {
    const askedMs = deps.clock.steadyMs();
    const plan = await planCall(deps, input, ctx);
    if (input.requestId === '') return await runAttached(deps, { plan, input, askedMs, id: newId() }, ctx);
    return await executeOnce(deps, { input, method, ctx }, (id) =>
      runAttached(deps, { plan, input, askedMs, id, isFirst: true }, ctx),
    );
  } finally {
    deps.gate.leave();
  }
}

type Attached = {
  readonly plan: CallPlan;
  readonly input: ExecuteInput;
  readonly askedMs: number;
  readonly id: string;
  /** The first of calls that may be repeated: its row is committed before the engine starts. */
  readonly isFirst?: boolean;
};

async function runAttached(deps: ExecuteDeps, attached: Attached, ctx: CallContext): Promise<ExecuteResult> {
  const { plan, input, id } = attached;
  const checked = checkInputs(plan.program, input.inputs);
  if (!checked.ok) {
    await recordInvalid(deps, attached, checked, ctx);
    throw checked.error.with({ executionId: id });
  }
  const begun = beginAttached(deps, attached, checked, ctx);
  try {
    if (attached.isFirst) await begun.live.record.stored();
    const ending = await runExecution(deps, begun);
    if (ending.fault !== undefined) throw errorOf(ending.fault, id);
    return resultOf(plan, id, ending, traceIdOf(begun.trace));
  } catch (error) {
    throw error instanceof AppError ? error.with({ executionId: id }) : error;
  } finally {
    deps.live.remove(begun.live);
  }
}

/** Records an attached run and makes it known, ready to run. */
export function beginAttached(
  deps: Pick<ExecuteDeps, 'clock' | 'telemetry' | 'recorder' | 'live'>,
  { plan, id, askedMs }: Attached,
  checked: Extract<CheckedInputs, { ok: true }>,
  ctx: CallContext,
  onEvent?: BegunExecution['onEvent'],
): BegunExecution {
  const { span, context } = startExecutionSpan(deps, plan, id, ctx.trace);
  const start = startRow(plan, { id, inputsJson: checked.json, isDetached: false }, context, ctx);
  // Who waits for the answer alone learns the id with it; until then the row may wait for company.
  const record = deps.recorder.begin(start, onEvent === undefined);
  const live = new LiveExecution(record, 1, (sequence, step, status) =>
    deps.recorder.step({ executionId: id, sequence, step, status }),
  );
  deps.live.add(live);
  const nowMs = deps.clock.now().getTime();
  return {
    plan,
    live,
    span,
    trace: context,
    values: checked.values,
    inputsJson: checked.json,
    deadlineMs: runDeadline(nowMs, plan.timeoutMs, ctx.deadlineMs),
    caller: ctx,
    onEvent,
    wantsText: onEvent !== undefined,
    sinceMs: askedMs,
    attempts: 1,
    workerLosses: 0,
  };
}

/** When the run must have ended: before the caller's own deadline, so that the answer that names the execution still arrives. */
function runDeadline(nowMs: number, timeoutMs: number, callerMs: number | undefined): number {
  if (callerMs === undefined) return nowMs + timeoutMs;
  const leftMs = Math.max(callerMs - nowMs, 0);
  return nowMs + Math.min(timeoutMs, leftMs - Math.min(answerMarginMs, leftMs / 4));
}

type RowInput = {
  readonly id: string;
  readonly inputsJson: string;
  readonly isDetached: boolean;
  readonly retriedFrom?: string;
};

/** The first row of an execution. */
export function startRow(plan: CallPlan, row: RowInput, trace: CallContext['trace'], ctx: CallContext): StartRow {
  const { program, engine } = plan;
  return {
    id: row.id,
    programId: program.id,
    slug: program.slug,
    version: program.version,
    module: program.engineProgram.module,
    engine: engine.name,
    detached: row.isDetached,
    inputsJson: row.inputsJson,
    optionsJson: plan.optionsJson,
    labelsJson: plan.labelsJson,
    metadataJson: plan.metadataJson,
    traceId: traceIdOf(trace),
    traceparent: traceparentOf(trace),
    keyId: ctx.principal?.keyId ?? '',
    retriedFrom: row.retriedFrom || null,
    moduleId: program.moduleSettings?.id ?? null,
    moduleName: program.moduleSettings?.name ?? null,
  };
}

/** Writes the row of a call whose inputs do not fit; resolves when it is committed. */
export async function recordInvalid(
  deps: Pick<ExecuteDeps, 'clock' | 'telemetry' | 'recorder' | 'instruments'>,
  { plan, id, askedMs }: Attached,
  checked: Extract<CheckedInputs, { ok: false }>,
  ctx: CallContext,
  isDetached = false,
): Promise<void> {
  const { span, context } = startExecutionSpan(deps, plan, id, ctx.trace);
  const record = deps.recorder.begin(startRow(plan, { id, inputsJson: checked.json, isDetached }, context, ctx));
  const fault = faultOf(checked.error);
  const durationMs = Math.round((deps.clock.steadyMs() - askedMs) * 1000) / 1000;
  const end: EndRow = {
    status: 'failed',
    outputsJson: null,
    errorJson: JSON.stringify(fault),
    durationMs,
    metricsJson: '{"tokens_in":0,"tokens_out":0,"lm_calls":0,"queue_ms":0,"engine_ms":0,"attempts":0}',
    traceJson: '[]',
    attempts: 0,
    workerLosses: 0,
    lastSequence: 2,
  };
  await record.finish(end);
  const ending: Ending = { status: 'failed', outputsJson: undefined, fault, durationMs };
  deps.instruments.ended(plan.engine.name, ending, 0, ranModule(plan.program));
  endSpan(span, checked.error);
}

function resultOf(
  plan: CallPlan,
  executionId: string,
  ending: Pick<Ending, 'status' | 'outputsJson' | 'durationMs' | 'engine' | 'cacheHit' | 'degraded'>,
  traceId: string,
): ExecuteResult {
  return {
    executionId,
    status: ending.status,
    outputsJson: ending.outputsJson,
    durationMs: ending.durationMs,
    traceId,
    engine: ending.engine ?? plan.engine.name,
    cacheHit: ending.cacheHit ?? false,
    degraded: ending.degraded ?? false,
    programId: plan.program.id,
    version: plan.program.version,
  };
}
