import type { BatchExecuteProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import type { CallOptions } from './channel.grpc.ts';
import type { ExecutionResult, RunOptions } from './execution.ts';
import type { JsonObject } from './json.ts';
import { toPayload } from './payload.ts';
import type { Many } from './request-stream.ts';
import type { Services } from './services.ts';
import type { SignetError } from './signet-error.ts';
import { fromExecutionError, fromResult, toExecutionOptions } from './wire.ts';

/** How one of many inputs went; `index` is its place among them. */
export type BatchResult<Outputs = JsonObject> = { readonly index: number; readonly executionId: string } & (
  | { readonly ok: true; readonly result: Omit<ExecutionResult<Outputs>, 'programId'> }
  | { readonly ok: false; readonly error: SignetError }
);

/** How many inputs are to be run. */
export type BatchExecuteOptions = Omit<RunOptions, 'keep'> &
  CallOptions & {
    /** Inputs at once, 1 to 256; default 32. */
    readonly concurrency?: number;
    /** Milliseconds that each input may take. */
    readonly itemTimeoutMs?: number;
  };

/**
 * Runs a program over inputs and gives each result as it is there, in any order. Inputs are taken only as fast as they are run; one that
 * fails is a result. Leaving the iteration ends what still runs.
 */
export async function* batchExecute(
  services: Services,
  program: string,
  inputs: Many<object>,
  options: BatchExecuteOptions = {},
): AsyncGenerator<BatchResult, void> {
  const requests = requestsOf(program, inputs, options);
  for await (const wire of services.runtime.batchExecuteProgram(requests, options)) {
    const { executionId, error } = wire;
    const index = Number(wire.index);
    if (error !== undefined) yield { index, executionId, ok: false, error: fromExecutionError(error, executionId) };
    else yield { index, executionId, ok: true, result: fromResult({ ...wire, programId: '', degraded: false }) };
  }
}

async function* requestsOf(
  program: string,
  inputs: Many<object>,
  options: BatchExecuteOptions,
): AsyncGenerator<Partial<BatchExecuteProgramRequest>, void> {
  const { concurrency = 0, labels = {}, itemTimeoutMs, timeoutMs: _, ...rest } = options;
  const timeout = itemTimeoutMs === undefined ? {} : { timeoutMs: itemTimeoutMs };
  yield { program, concurrency, labels: { ...labels }, executionOptions: toExecutionOptions({ ...rest, ...timeout }) };
  for await (const one of inputs) yield { item: { index: undefined, inputs: toPayload(one) } };
}
