import type { CallContext } from '@signet/kit/call-context.ts';
import { newId } from '@signet/kit/id.ts';
import { checkInputs, checkRequestId, type ExecuteInput } from '../runtime/call-input.ts';
import { claimExecution } from '../runtime/execute-once.ts';
import type { ExecuteDeps } from '../runtime/execute-program.ts';
import { recordInvalid, startRow } from '../runtime/first-row.ts';
import { planCall } from '../runtime/plan-call.ts';
import type { Backlog } from './backlog.ts';
import type { DetachedRunner } from './detached-runner.ts';
import type { Execution } from './execution.ts';

/** What accepting a detached execution needs. */
export type CreateDeps = ExecuteDeps & { readonly runner: Pick<DetachedRunner, 'wake'>; readonly backlog: Backlog };

/** An execution that is accepted without being waited for; what it repeats, if anything. */
export type CreateInput = ExecuteInput & { readonly retriedFrom?: string };

/**
 * Accepts an execution: its row is committed when this resolves, and it will be run whatever dies. Inputs that do not fit make a FAILED
 * row and INPUT_INVALID, which names it.
 */
export async function createExecution(
  deps: CreateDeps,
  input: CreateInput,
  ctx: CallContext,
  method = 'CreateExecution',
): Promise<Execution> {
  checkRequestId(input.requestId);
  await deps.backlog.enter();
  const askedMs = deps.clock.steadyMs();
  const plan = await planCall(deps, input, ctx, true);
  let id = newId();
  if (input.requestId !== '') {
    const claimed = await claimExecution(deps, { input, method, ctx });
    if (claimed.first !== undefined) return asAccepted(claimed.first);
    id = claimed.id;
  }
  const checked = checkInputs(plan.program, input.inputs);
  if (!checked.ok) {
    await recordInvalid(deps, { plan, askedMs, id }, checked, ctx, { isDetached: true });
    throw checked.error.with({ executionId: id });
  }
  const row = { id, inputsJson: checked.json, isDetached: true, retriedFrom: input.retriedFrom ?? '' };
  await deps.recorder.begin(startRow(plan, row, ctx.trace, ctx)).stored();
  deps.runner.wake();
  return asAccepted(await deps.store.get(id));
}

/** The execution as it was committed: it may have begun, or even ended, since. */
function asAccepted(execution: Execution): Execution {
  return {
    ...execution,
    status: 'pending',
    outputsJson: undefined,
    error: undefined,
    durationMs: undefined,
    startTime: undefined,
    endTime: undefined,
    metricsJson: '{}',
    traceJson: '[]',
    leaseToken: 0,
    attempts: 0,
    workerLosses: 0,
    updateTime: execution.createTime,
  };
}
