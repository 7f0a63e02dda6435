import { isUtf8 } from 'node:buffer';
import { type CallContext, hasRole } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { toRpcStatus } from '@signet/kit/grpc/status.ts';
import { type Payload, Engine as WireEngine } from '@signet/proto/gen/signet/v1/common.ts';
import {
  type ExecutionError,
  type ExecutionEvent,
  type ExecutionResult,
  type Execution as WireExecution,
  type Feedback as WireFeedback,
  ExecutionStatus as WireStatus,
} from '@signet/proto/gen/signet/v1/execution.ts';
import type { RenderPromptResponse } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { plainFromJson } from '@signet/signature/json.ts';
import type { EngineName } from '../engine/engine.ts';
import type { GivenInputs } from '../runtime/call-input.ts';
import type { ExecuteResult } from '../runtime/execute-program.ts';
import type { PromptView } from '../runtime/render-prompt.ts';
import type { Feedback } from './add-feedback.ts';
import { type Execution, type ExecutionFault, type ExecutionStatus, noProgram } from './execution.ts';
import { errorOf } from './fault.ts';
import type { LiveEvent } from './live.ts';

/** In which of its two forms a payload is written. */
export type PayloadKind = 'struct' | 'json';

const wireStatuses: Readonly<Record<ExecutionStatus, WireStatus>> = {
  pending: WireStatus.EXECUTION_STATUS_PENDING,
  running: WireStatus.EXECUTION_STATUS_RUNNING,
  completed: WireStatus.EXECUTION_STATUS_COMPLETED,
  failed: WireStatus.EXECUTION_STATUS_FAILED,
  cancelled: WireStatus.EXECUTION_STATUS_CANCELLED,
};

/** Engines as callers see them. */
export const wireEngines: Readonly<Record<EngineName, WireEngine>> = {
  python: WireEngine.ENGINE_PYTHON,
  native: WireEngine.ENGINE_NATIVE,
  mock: WireEngine.ENGINE_MOCK,
};
/** The form that a read answers in: `struct` unless the call's metadata says `signet-payload: json`. */
export function payloadKindOf(ctx: CallContext): PayloadKind {
  return ctx.header('signet-payload') === 'json' ? 'json' : 'struct';
}

/** Inputs as a request brings them. INVALID_REQUEST if there are none. */
export function fromPayload(payload: Payload | undefined, field: string): { given: GivenInputs; kind: PayloadKind } {
  const kind = payload?.kind;
  if (kind === undefined) throw invalidField(field, 'is required', 'REQUIRED');
  if (kind.$case === 'json') {
    if (!isUtf8(kind.value)) return { given: { unreadable: 'the bytes are not UTF-8' }, kind: 'json' };
    return { given: { text: kind.value.toString('utf8') }, kind: 'json' };
  }
  return { given: { data: kind.value ?? {} }, kind: 'struct' };
}

/** JSON text as a payload. */
export function toPayload(json: string, kind: PayloadKind): Payload {
  if (kind === 'json') return { kind: { $case: 'json', value: Buffer.from(json) } };
  return { kind: { $case: 'struct', value: JSON.parse(json) as Record<string, unknown> } };
}

/** A status as callers see it. */
export function wireStatusOf(status: ExecutionStatus): WireStatus {
  return wireStatuses[status];
}

/** A status as a request brings it; undefined means any. INVALID_REQUEST for an unknown one. */
export function fromStatus(status: WireStatus): ExecutionStatus | undefined {
  if (status === WireStatus.EXECUTION_STATUS_UNSPECIFIED) return undefined;
  const found = (Object.keys(wireStatuses) as ExecutionStatus[]).find((name) => wireStatuses[name] === status);
  if (found === undefined) throw invalidField('status', `${status} is not a status`);
  return found;
}

/** An execution as callers see it; tracebacks are for admins. */
export function toWireExecution(execution: Execution, kind: PayloadKind, ctx: CallContext): WireExecution {
  const { error, outputsJson, durationMs, status } = execution;
  return {
    id: execution.id,
    programId: execution.programId === noProgram ? '' : execution.programId,
    program: execution.slug,
    version: execution.version,
    parentExecutionId: execution.parentId,
    step: execution.step,
    status: wireStatuses[status],
    inputs: toPayload(execution.inputsJson, kind),
    outputs: outputsJson === undefined ? undefined : toPayload(outputsJson, kind),
    error: error === undefined ? undefined : toWireError(error, hasRole(ctx, 'admin')),
    errorMessage: error?.message ?? '',
    durationMs: BigInt(Math.round(durationMs ?? 0)),
    executedAt: execution.executedAt,
    startTime: execution.startTime,
    endTime: execution.endTime,
    metadata: JSON.parse(execution.metadataJson) as Record<string, unknown>,
    metrics: JSON.parse(execution.metricsJson) as Record<string, unknown>,
    trace: JSON.parse(execution.traceJson) as Record<string, unknown>[],
    traceId: execution.traceId,
    engine: wireEngines[execution.engine],
    detached: execution.detached,
    attempts: execution.attempts,
    workerLosses: execution.workerLosses,
    retriedFrom: execution.retriedFrom,
    labels: { ...execution.labels },
    etag: etagOf(execution),
    createTime: execution.createTime,
    updateTime: execution.updateTime,
    moduleId: execution.moduleId,
    module: execution.moduleName,
    shadow: undefined,
  };
}

function etagOf({ status, attempts, leaseToken, updateTime }: Execution): string {
  return Buffer.from(`${status}.${attempts}.${leaseToken}.${updateTime.getTime()}`).toString('base64url');
}

/** Why an execution failed, as callers see it. */
export function toWireError(fault: ExecutionFault, isAdmin: boolean): ExecutionError {
  return {
    reason: fault.reason,
    message: fault.message,
    category: fault.category,
    retryable: fault.retryable,
    pythonType: fault.python_type,
    fieldViolations: fault.field_violations.map((violation) => ({ ...violation })),
    traceback: isAdmin ? fault.traceback : '',
  };
}

/** How a run would begin, as callers see it. */
export function toWirePrompt({ predictor, messages, options, engine, version }: PromptView): RenderPromptResponse {
  const plainOptions = plainFromJson(options) as Record<string, unknown>;
  return { predictor, messages: [...messages], options: plainOptions, engine: wireEngines[engine], version };
}

/** How an attached call answers. */
export function toWireResult(result: ExecuteResult, kind: PayloadKind): ExecutionResult {
  return {
    executionId: result.executionId,
    status: wireStatuses[result.status],
    outputs: result.outputsJson === undefined ? undefined : toPayload(result.outputsJson, kind),
    durationMs: BigInt(Math.round(result.durationMs)),
    traceId: result.traceId,
    engine: wireEngines[result.engine],
    programId: result.programId,
    version: result.version,
    cacheHit: result.cacheHit ?? false,
    degraded: result.degraded ?? false,
  };
}

/** The result of an execution that was read. */
export function resultOfExecution(execution: Execution): ExecuteResult {
  const { id, status, outputsJson, durationMs, traceId, engine, programId, version } = execution;
  return { executionId: id, status, outputsJson, durationMs: durationMs ?? 0, traceId, engine, programId, version };
}

/** One event of a stream or a watch; an end needs its execution. */
export function toWireEvent(event: LiveEvent, execution: Execution, kind: PayloadKind): ExecutionEvent {
  if (event.kind !== 'end') return toWireLiveEvent(event, execution.id);
  const { ending } = event;
  const made =
    ending.fault === undefined
      ? ({ $case: 'result', value: toWireResult({ ...resultOfExecution(execution), ...ending }, kind) } as const)
      : ({ $case: 'error', value: toRpcStatus(errorOf(ending.fault, execution.id)) } as const);
  return { sequence: BigInt(event.sequence), executionId: execution.id, event: made };
}

/** One event on the way. */
export function toWireLiveEvent(event: Exclude<LiveEvent, { kind: 'end' }>, executionId: string): ExecutionEvent {
  const sequence = BigInt(event.sequence);
  if (event.kind === 'state') {
    return { sequence, executionId, event: { $case: 'state', value: { status: wireStatuses[event.status] } } };
  }
  if (event.kind === 'step') {
    const value = { execution: event.childId || executionId, step: event.step, status: event.status };
    return { sequence, executionId, event: { $case: 'step', value } };
  }
  const { predictor, field, text } = event;
  return { sequence, executionId, event: { $case: 'token', value: { predictor, field, text } } };
}

/** Feedback as it was kept. */
export function toWireFeedback(feedback: Feedback, kind: PayloadKind): WireFeedback {
  const { id, executionId, score, label, correctedOutputsJson, comment, createTime } = feedback;
  const correctedOutputs = correctedOutputsJson === undefined ? undefined : toPayload(correctedOutputsJson, kind);
  return { id, executionId, score, label, correctedOutputs, comment, createTime };
}
