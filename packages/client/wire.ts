import { status } from '@grpc/grpc-js';
import { AdapterType, Engine } from '@signet/proto/gen/signet/v1/common.ts';
import {
  type ExecutionError,
  ExecutionOptions,
  type ExecutionEvent as WireEvent,
  type Execution as WireExecution,
  type ExecutionResult as WireResult,
  ExecutionStatus as WireStatus,
} from '@signet/proto/gen/signet/v1/execution.ts';
import type {
  EngineName,
  Execution,
  ExecutionEvent,
  ExecutionResult,
  ExecutionStatus,
  RunOptions,
} from './execution.ts';
import type { JsonObject } from './json.ts';
import { fromPayload } from './payload.ts';
import { fromRpcStatus, SignetError } from './signet-error.ts';

const statusNames: Readonly<Record<number, ExecutionStatus>> = {
  [WireStatus.EXECUTION_STATUS_PENDING]: 'pending',
  [WireStatus.EXECUTION_STATUS_RUNNING]: 'running',
  [WireStatus.EXECUTION_STATUS_COMPLETED]: 'completed',
  [WireStatus.EXECUTION_STATUS_FAILED]: 'failed',
  [WireStatus.EXECUTION_STATUS_CANCELLED]: 'cancelled',
};
const engines = {
  python: Engine.ENGINE_PYTHON,
  native: Engine.ENGINE_NATIVE,
  mock: Engine.ENGINE_MOCK,
} as const satisfies Record<EngineName, Engine>;
const adapterTypes = {
  python_port: AdapterType.ADAPTER_TYPE_PYTHON_PORT,
  native: AdapterType.ADAPTER_TYPE_NATIVE,
  mock: AdapterType.ADAPTER_TYPE_MOCK,
} as const;

/** Which engines may serve a program. */
export type AdapterTypeName = keyof typeof adapterTypes;

/** An adapter type as the wire has it; left out is python_port. */
export function toAdapterType(name: AdapterTypeName | undefined): AdapterType {
  return name === undefined ? AdapterType.ADAPTER_TYPE_UNSPECIFIED : adapterTypes[name];
}

/** Options of a run as the wire has them. `timeoutMs` bounds the run itself besides the call. */
export function toExecutionOptions(options: RunOptions & { readonly timeoutMs?: number }): ExecutionOptions {
  const { timeoutMs, maxRetries, cache, engine, version, lm } = options;
  return ExecutionOptions.fromPartial({
    ...{ maxRetries, cache, version, lm },
    timeoutMs: timeoutMs === undefined ? 0n : BigInt(Math.trunc(timeoutMs)),
    engine: engine === undefined ? Engine.ENGINE_UNSPECIFIED : engines[engine],
  });
}

/** The fields that a run's request has besides program and inputs. */
export function toRunFields(options: RunOptions & { readonly timeoutMs?: number }): {
  executionOptions: ExecutionOptions;
  labels: Record<string, string>;
  metadata: JsonObject | undefined;
} {
  return { executionOptions: toExecutionOptions(options), labels: { ...options.labels }, metadata: options.keep };
}

/** The result of a run. The caller answers for the type of its outputs. */
export function fromResult<Outputs = JsonObject>(result: WireResult): ExecutionResult<Outputs> {
  return {
    executionId: result.executionId,
    status: statusNames[result.status] ?? 'unspecified',
    outputs: fromPayload(result.outputs) as Outputs,
    durationMs: Number(result.durationMs),
    traceId: result.traceId,
    engine: fromEngine(result.engine),
    programId: result.programId,
    version: result.version,
  };
}

/** An execution. The caller answers for the types of its inputs and outputs. */
export function fromExecution<Inputs = JsonObject, Outputs = JsonObject>(
  execution: WireExecution,
): Execution<Inputs, Outputs> {
  const { id, programId, program, version, traceId, detached, retriedFrom, labels, createTime, endTime } = execution;
  return {
    ...{ id, programId, program, version, traceId, detached, retriedFrom, labels, createTime, endTime },
    status: statusNames[execution.status] ?? 'unspecified',
    inputs: fromPayload(execution.inputs) as Inputs,
    outputs: execution.outputs === undefined ? undefined : (fromPayload(execution.outputs) as Outputs),
    error: execution.error === undefined ? undefined : fromExecutionError(execution.error, id),
    durationMs: Number(execution.durationMs),
    engine: fromEngine(execution.engine),
    metrics: execution.metrics ?? {},
  };
}

/** An event; undefined for a kind that this client does not know yet. */
export function fromEvent<Outputs = JsonObject>(wire: WireEvent): ExecutionEvent<Outputs> | undefined {
  const head = { sequence: Number(wire.sequence), executionId: wire.executionId };
  switch (wire.event?.$case) {
    case 'state':
      return { ...head, type: 'state', status: statusNames[wire.event.value.status] ?? 'unspecified' };
    case 'step':
      return { ...head, type: 'step', ...wire.event.value };
    case 'token':
      return { ...head, type: 'token', ...wire.event.value };
    case 'result':
      return { ...head, type: 'result', result: fromResult(wire.event.value) };
    case 'error':
      return { ...head, type: 'error', error: fromRpcStatus(wire.event.value) };
    default:
      return undefined;
  }
}

function fromEngine(engine: Engine): EngineName | 'unspecified' {
  return (Object.keys(engines) as EngineName[]).find((name) => engines[name] === engine) ?? 'unspecified';
}

/** Why an execution failed. */
export function fromExecutionError(error: ExecutionError, executionId: string): SignetError {
  return new SignetError(error.reason, error.message, {
    code: status.UNKNOWN,
    metadata: {
      executionId,
      category: error.category,
      ...(error.pythonType === '' ? {} : { python_type: error.pythonType }),
    },
    fieldViolations: error.fieldViolations,
  });
}
