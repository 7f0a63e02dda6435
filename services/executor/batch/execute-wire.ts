import { type CallContext, hasRole } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import {
  type BatchExecuteItem,
  type BatchExecuteResult,
  BatchExecuteResult as Result,
} from '@signet/proto/gen/signet/v1/batch.ts';
import { ExecutionStatus } from '@signet/proto/gen/signet/v1/execution.ts';
import type { BatchExecuteProgramRequest } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { faultOf } from '../execution/fault.ts';
import { fromOptions } from '../execution/options-wire.ts';
import { fromPayload, type PayloadKind, toWireError, toWireResult } from '../execution/wire.ts';
import type { BatchAsked, BatchInput, BatchOutcome } from './batch-execute.ts';

/** What a streamed request for a batch comes to: what its first part says, and the items of all parts. */
export async function fromBatchRequests(
  requests: AsyncIterable<BatchExecuteProgramRequest>,
): Promise<BatchAsked & { readonly concurrency: number; readonly items: AsyncIterable<BatchInput<PayloadKind>> }> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value: first } = await iterator.next();
  if (done) throw invalidField('program', 'is required', 'REQUIRED');
  const { program, concurrency, labels } = first;
  const options = fromOptions(first.executionOptions);
  return { program, options, labels, concurrency, items: itemsOf(first, iterator) };
}

async function* itemsOf(
  first: BatchExecuteProgramRequest,
  rest: AsyncIterator<BatchExecuteProgramRequest>,
): AsyncGenerator<BatchInput<PayloadKind>, void> {
  let place = 0;
  for (let request = first; ; ) {
    if (request.item !== undefined) {
      const { given, kind } = inputsOf(request.item);
      const index = request.item.index === undefined ? place : Number(request.item.index);
      place++;
      yield { index, inputs: given, kind };
    } else if (request !== first) {
      throw new AppError('INVALID_REQUEST', 'A part after the first one brings no item');
    }
    const { done, value } = await rest.next();
    if (done) return;
    request = value;
  }
}

// An item without inputs fails like any other whose inputs do not fit.
function inputsOf({ inputs }: BatchExecuteItem): ReturnType<typeof fromPayload> {
  if (inputs?.kind === undefined) return { given: { unreadable: 'inputs are required' }, kind: 'json' };
  return fromPayload(inputs, 'inputs');
}

/** How one item went, as its caller sees it. */
export function toWireOutcome(
  { index, kind, result, error, version, durationMs }: BatchOutcome<PayloadKind>,
  ctx: CallContext,
): BatchExecuteResult {
  if (result !== undefined) {
    return { ...Result.fromPartial({}), ...resultOf(result, kind), index: BigInt(index) };
  }
  const fault = faultOf(error);
  const { EXECUTION_STATUS_CANCELLED, EXECUTION_STATUS_FAILED } = ExecutionStatus;
  const { executionId = '' } = fault.metadata;
  const begun = { executionId, durationMs: BigInt(Math.round(durationMs)), traceId: traceIdOf(ctx.trace), version };
  return {
    ...Result.fromPartial({}),
    ...(executionId === '' ? {} : begun),
    index: BigInt(index),
    status: fault.reason === 'CANCELLED' ? EXECUTION_STATUS_CANCELLED : EXECUTION_STATUS_FAILED,
    error: toWireError(fault, hasRole(ctx, 'admin')),
  };
}

function resultOf(...given: Parameters<typeof toWireResult>): Omit<BatchExecuteResult, 'index' | 'error'> {
  const { executionId, status, outputs, durationMs, traceId, engine, version, cacheHit } = toWireResult(...given);
  return { executionId, status, outputs, durationMs, traceId, engine, version, cacheHit };
}
