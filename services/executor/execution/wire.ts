import { isUtf8 } from 'node:buffer';
import { type CallContext, hasRole } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { toRpcStatus } from '@signet/kit/grpc/status.ts';
import {
  type Payload,
  AdapterType as WireAdapterType,
  Engine as WireEngine,
} from '@signet/proto/gen/signet/v1/common.ts';
import {
  type ExecutionError,
  type ExecutionEvent,
  type ExecutionOptions,
  type ExecutionResult,
  type Execution as WireExecution,
  type Feedback as WireFeedback,
  CacheScope as WireScope,
  ExecutionStatus as WireStatus,
} from '@signet/proto/gen/signet/v1/execution.ts';
import type { ProgramStatistics, ProgramStats } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { RoutingStrategy as WireStrategy } from '@signet/proto/gen/signet/v1/module.ts';
import { ProgramStatus } from '@signet/proto/gen/signet/v1/program.ts';
import type { RenderPromptResponse } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { plainFromJson } from '@signet/signature/json.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { AdapterType } from '../engine/choose-engine.ts';
import type { EngineName, RoutingStrategy } from '../engine/engine.ts';
import type { GivenInputs } from '../runtime/call-input.ts';
import type { ExecuteResult } from '../runtime/execute-program.ts';
import type { PromptView } from '../runtime/render-prompt.ts';
import type { Feedback } from './add-feedback.ts';
import {
  type Counters,
  type Execution,
  type ExecutionFault,
  type ExecutionStatus,
  noProgram,
  type RunOptions,
  type Statistics,
} from './execution.ts';
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
const wireEngines: Readonly<Record<EngineName, WireEngine>> = {
  python: WireEngine.ENGINE_PYTHON,
  native: WireEngine.ENGINE_NATIVE,
  mock: WireEngine.ENGINE_MOCK,
};
const wireAdapterTypes: Readonly<Record<AdapterType, WireAdapterType>> = {
  python_port: WireAdapterType.ADAPTER_TYPE_PYTHON_PORT,
  native: WireAdapterType.ADAPTER_TYPE_NATIVE,
  mock: WireAdapterType.ADAPTER_TYPE_MOCK,
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

/** Options as a request brings them; what is not said is absent. INVALID_REQUEST for an unknown engine. */
export function fromOptions(options: ExecutionOptions | undefined): RunOptions {
  if (options === undefined) return {};
  const engine = engineOf(options.engine);
  const shadow = engineOf(options.shadow, 'shadow');
  const strategy = strategyOf(options.routingStrategy);
  return {
    ...(options.timeoutMs === 0n ? {} : { timeout_ms: Number(options.timeoutMs) }),
    ...(options.maxRetries === undefined ? {} : { max_retries: options.maxRetries }),
    ...(options.cache === undefined ? {} : { cache: options.cache }),
    ...(engine === undefined ? {} : { engine }),
    ...(options.version === 0 ? {} : { version: options.version }),
    ...(options.versionLabel === '' ? {} : { version_label: options.versionLabel }),
    ...(options.stickyKey === '' ? {} : { sticky_key: options.stickyKey }),
    ...(options.lm === '' ? {} : { lm: options.lm }),
    ...(strategy === undefined ? {} : { routing_strategy: strategy }),
    ...(shadow === undefined ? {} : { shadow }),
    ...(isForKeyAlone(options.cacheScope) ? { cache_scope: 'key' } : {}),
  };
}

/** Options as callers see them; what was not said is unset. */
export function toWireOptions(options: RunOptions): ExecutionOptions {
  return {
    timeoutMs: BigInt(options.timeout_ms ?? 0),
    maxRetries: options.max_retries,
    cache: options.cache,
    engine: options.engine === undefined ? WireEngine.ENGINE_UNSPECIFIED : wireEngines[options.engine],
    version: options.version ?? 0,
    versionLabel: options.version_label ?? '',
    stickyKey: options.sticky_key ?? '',
    lm: options.lm ?? '',
    routingStrategy:
      options.routing_strategy === undefined
        ? WireStrategy.ROUTING_STRATEGY_UNSPECIFIED
        : wireStrategies[options.routing_strategy],
    shadow: options.shadow === undefined ? WireEngine.ENGINE_UNSPECIFIED : wireEngines[options.shadow],
    cacheScope: options.cache_scope === 'key' ? WireScope.CACHE_SCOPE_KEY : WireScope.CACHE_SCOPE_UNSPECIFIED,
  };
}

/** A status as callers see it. */
export function wireStatusOf(status: ExecutionStatus): WireStatus {
  return wireStatuses[status];
}

function isForKeyAlone(scope: WireScope): boolean {
  const { CACHE_SCOPE_UNSPECIFIED, CACHE_SCOPE_PROGRAM, CACHE_SCOPE_KEY } = WireScope;
  if (scope === CACHE_SCOPE_KEY) return true;
  // A scope that nobody knows may have been meant to share less.
  if (scope === CACHE_SCOPE_UNSPECIFIED || scope === CACHE_SCOPE_PROGRAM) return false;
  throw invalidField('execution_options.cache_scope', `${scope} is not a scope`);
}

function strategyOf(strategy: WireStrategy): RoutingStrategy | undefined {
  if (strategy === WireStrategy.ROUTING_STRATEGY_UNSPECIFIED) return undefined;
  const found = (Object.keys(wireStrategies) as RoutingStrategy[]).find((name) => wireStrategies[name] === strategy);
  if (found === undefined) throw invalidField('execution_options.routing_strategy', `${strategy} is not a strategy`);
  return found;
}

const wireStrategies: Readonly<Record<RoutingStrategy, WireStrategy>> = {
  native_first: WireStrategy.ROUTING_STRATEGY_NATIVE_FIRST,
  python_first: WireStrategy.ROUTING_STRATEGY_PYTHON_FIRST,
  performance_based: WireStrategy.ROUTING_STRATEGY_PERFORMANCE_BASED,
};

function engineOf(engine: WireEngine, field = 'engine'): EngineName | undefined {
  if (engine === WireEngine.ENGINE_UNSPECIFIED) return undefined;
  const found = (Object.keys(wireEngines) as EngineName[]).find((name) => wireEngines[name] === engine);
  if (found === undefined) throw invalidField(`execution_options.${field}`, `${engine} is not an engine`);
  return found;
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

const wireStates: Readonly<Record<ServedProgram['state'], ProgramStatus>> = {
  draft: ProgramStatus.PROGRAM_STATUS_DRAFT,
  initializing: ProgramStatus.PROGRAM_STATUS_INITIALIZING,
  ready: ProgramStatus.PROGRAM_STATUS_READY,
  optimizing: ProgramStatus.PROGRAM_STATUS_OPTIMIZING,
  error: ProgramStatus.PROGRAM_STATUS_ERROR,
  archived: ProgramStatus.PROGRAM_STATUS_ARCHIVED,
};

/** The counters of a program. */
export function toWireStats({
  program,
  executionCount,
  lastExecutedAt,
}: Counters & { program: ServedProgram }): ProgramStats {
  return {
    id: program.id,
    name: program.name,
    status: wireStates[program.state],
    executionCount,
    lastExecutedAt,
    adapterType: wireAdapterTypes[program.adapterType],
    dspyProgramId: program.dspyProgramId,
  };
}

/** The figures of a program. */
export function toWireStatistics({ total, successful, failed, averageDurationMs }: Statistics): ProgramStatistics {
  return {
    totalExecutions: total,
    successfulExecutions: successful,
    failedExecutions: failed,
    successRate: total === 0n ? 0 : Number(successful) / Number(total),
    averageDurationMs,
  };
}
