import { type CallContext, hasRole } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import {
  type Batch as WireBatch,
  type BatchEvent as WireEvent,
  type BatchItem as WireItem,
  BatchStatus as WireStatus,
} from '@signet/proto/gen/signet/v1/batch.ts';
import type { UploadBatchRequest } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { FaultPolicy, Split as WireSplit } from '@signet/proto/gen/signet/v1/dataset.ts';
import type { Split } from '../dataset/datasets.grpc.ts';
import { fromOptions, toWireOptions } from '../execution/options-wire.ts';
import { type PayloadKind, toPayload, toWireError, wireStatusOf } from '../execution/wire.ts';
import type { Batch, BatchStatus } from './batch.ts';
import type { BatchItem } from './batch-items.ts';
import type { UploadInput } from './upload-batch.ts';
import { type BatchEvent, standing } from './watch-batch.ts';

const wireStatuses: Readonly<Record<BatchStatus, WireStatus>> = {
  loading: WireStatus.BATCH_STATUS_LOADING,
  running: WireStatus.BATCH_STATUS_RUNNING,
  paused: WireStatus.BATCH_STATUS_PAUSED,
  completed: WireStatus.BATCH_STATUS_COMPLETED,
  failed: WireStatus.BATCH_STATUS_FAILED,
  cancelled: WireStatus.BATCH_STATUS_CANCELLED,
};

const wireSplits: Readonly<Record<Split, WireSplit>> = {
  train: WireSplit.SPLIT_TRAIN,
  validation: WireSplit.SPLIT_VALIDATION,
  test: WireSplit.SPLIT_TEST,
};

/** The splits that a request names. INVALID_REQUEST for one that is none. */
export function fromSplits(splits: readonly WireSplit[]): Split[] {
  return splits.map((split, at) => {
    const found = (Object.keys(wireSplits) as Split[]).find((name) => wireSplits[name] === split);
    if (found === undefined) throw invalidField(`splits[${at}]`, `${split} is not a split`);
    return found;
  });
}

/** True if rows that do not fit are to be left out. INVALID_REQUEST for what is no policy. */
export function keepsValid(policy: FaultPolicy): boolean {
  const { FAULT_POLICY_UNSPECIFIED, FAULT_POLICY_ALL_OR_NOTHING, FAULT_POLICY_KEEP_GOOD } = FaultPolicy;
  if (policy === FAULT_POLICY_KEEP_GOOD) return true;
  if (policy === FAULT_POLICY_UNSPECIFIED || policy === FAULT_POLICY_ALL_OR_NOTHING) return false;
  throw invalidField('on_error', `${policy} is not a policy`);
}

/** A batch as callers see it. */
export function toWireBatch(batch: Batch): WireBatch {
  return {
    id: batch.id,
    name: batch.name,
    programId: batch.programId,
    program: batch.slug,
    version: batch.version,
    status: wireStatuses[batch.status],
    datasetId: batch.datasetId,
    datasetVersion: batch.datasetVersion,
    splits: batch.splits.map((split) => wireSplits[split]),
    itemCount: BigInt(batch.itemCount),
    completedCount: BigInt(batch.completedCount),
    failedCount: BigInt(batch.failedCount),
    cancelledCount: BigInt(batch.cancelledCount),
    rejectedCount: BigInt(batch.rejectedCount),
    rowFaults: batch.faults.map((fault) => ({ ...fault, line: BigInt(fault.line) })),
    concurrency: batch.concurrency,
    executionOptions: toWireOptions(batch.options),
    labels: { ...batch.labels },
    errorMessage: batch.errorMessage,
    etag: Buffer.from(`${standing(batch)}.${batch.updateTime.getTime()}`).toString('base64url'),
    createTime: batch.createTime,
    startTime: batch.startTime,
    endTime: batch.endTime,
    updateTime: batch.updateTime,
  };
}

/** An item as callers see it; tracebacks are for admins. */
export function toWireItem(item: BatchItem, kind: PayloadKind, ctx: CallContext): WireItem {
  const { inputsJson, outputsJson, fault } = item;
  return {
    index: BigInt(item.index),
    executionId: item.executionId,
    status: wireStatusOf(item.status),
    inputs: inputsJson === undefined ? undefined : toPayload(inputsJson, kind),
    outputs: outputsJson === undefined ? undefined : toPayload(outputsJson, kind),
    error: fault && toWireError(fault, hasRole(ctx, 'admin')),
    durationMs: BigInt(Math.round(item.durationMs)),
    exampleId: item.exampleId,
  };
}

/** One event of a watch. */
export function toWireBatchEvent({ sequence, batch, isEnd }: BatchEvent): WireEvent {
  const value = toWireBatch(batch);
  const event = isEnd ? ({ $case: 'result', value } as const) : ({ $case: 'progress', value } as const);
  return { sequence: BigInt(sequence), event };
}

/** What a streamed upload comes to: what its first part says, and the bytes of all. */
export async function fromUpload(
  requests: AsyncIterable<UploadBatchRequest>,
): Promise<{ readonly input: UploadInput; readonly requestId: string }> {
  const iterator = requests[Symbol.asyncIterator]();
  const { done, value: first } = await iterator.next();
  if (done) throw invalidField('program', 'is required', 'REQUIRED');
  const { program, name, concurrency, labels, contentType, requestId } = first;
  const keepValidRows = keepsValid(first.onError);
  const options = fromOptions(first.executionOptions);
  const content = contentOf(first, iterator);
  return { input: { program, name, concurrency, keepValidRows, labels, options, contentType, content }, requestId };
}

async function* contentOf(
  first: UploadBatchRequest,
  rest: AsyncIterator<UploadBatchRequest>,
): AsyncGenerator<Uint8Array, void> {
  for (let request = first; ; ) {
    if (request.content.length > 0) yield request.content;
    const { done, value } = await rest.next();
    if (done) return;
    request = value;
  }
}
