import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import type { EngineName } from '../engine/engine.ts';
import type { DetachedRunner } from '../execution/detached-runner.ts';
import type { ExecutionStatus } from '../execution/execution.ts';
import { errorOf } from '../execution/fault.ts';
import { type Ending, LiveExecution, type LiveExecutions } from '../execution/live.ts';
import type { Recorder } from '../execution/recorder.ts';
import { type CheckedInputs, checkInputs, checkRequestId, type ExecuteInput } from './call-input.ts';
import { executeOnce, type OnceDeps } from './execute-once.ts';
import { recordInvalid, startRow } from './first-row.ts';
import type { Gate } from './gate.ts';
import { type CallPlan, type PlanDeps, planCall } from './plan-call.ts';
import { type BegunExecution, type RunDeps, runExecution, startExecutionSpan } from './run-execution.ts';
import { beginOwned } from './run-owned.ts';

// For the end to be committed and the answer to arrive.
const answerMarginMs = 100;

/** What running a program while its caller waits needs. */
export type ExecuteDeps = PlanDeps &
  RunDeps &
  OnceDeps & {
    readonly recorder: Recorder;
    readonly live: LiveExecutions;
    readonly gate: Gate;
    readonly runner: Pick<DetachedRunner, 'hold' | 'take'>;
  };

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
    const ending = await runBegun(deps, begun);
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
  const wantsText = onEvent !== undefined;
  if (plan.program.pipeline !== undefined) {
    const deadlineMs = runDeadline(deps.clock.now().getTime(), plan.timeoutMs, ctx.deadlineMs);
    return beginOwned(deps, { place: { id, deadlineMs, wantsText }, plan, checked, askedMs }, checked, ctx);
  }
  const { span, context } = startExecutionSpan(deps, plan, id, ctx.trace);
  const start = startRow(plan, { id, inputsJson: checked.json, isDetached: false }, context, ctx);
  // Who waits for the answer alone learns the id with it; until then the row may wait for company.
  const record = deps.recorder.begin(start, !wantsText);
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
    wantsText,
    sinceMs: askedMs,
    attempts: 1,
    workerLosses: 0,
  };
}

/** Runs what has begun, to its committed end. A pipeline outlives this process: it is handed on should we stop. */
export function runBegun(deps: Pick<ExecuteDeps, 'runner'> & RunDeps, begun: BegunExecution): Promise<Ending> {
  if (begun.isDurable !== true) return runExecution(deps, begun);
  const { record } = begun.live;
  // Whoever goes on with its steps has to find what they are steps of.
  const done = record.stored().then(() => runExecution(deps, begun));
  deps.runner.hold(record.id, record.token, done);
  return done;
}

/** When the run must have ended: before the caller's own deadline, so that the answer that names the execution still arrives. */
function runDeadline(nowMs: number, timeoutMs: number, callerMs: number | undefined): number {
  if (callerMs === undefined) return nowMs + timeoutMs;
  const leftMs = Math.max(callerMs - nowMs, 0);
  return nowMs + Math.min(timeoutMs, leftMs - Math.min(answerMarginMs, leftMs / 4));
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
