import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import {
  BadRequest,
  ErrorInfo,
  PreconditionFailure,
  ResourceInfo,
  RetryInfo,
} from '@signet/proto/gen/google/rpc/error_details.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';
import { AppError, type FieldViolation } from '../error/app-error.ts';
import { normalizeError } from '../error/normalize.ts';
import { isReason, type Reason, reasons } from '../error/reasons.ts';

/** The domain of every ErrorInfo. */
export const errorDomain = 'signet.dev';

const typeUrl = (name: string): string => `type.googleapis.com/google.rpc.${name}`;

/** The one door out: turns whatever was thrown into a google.rpc.Status. */
export function toRpcStatus(thrown: unknown): Status {
  const error = normalizeError(thrown);
  const { code, http } = reasons[error.reason];
  const details = [
    any(
      'ErrorInfo',
      ErrorInfo.encode({ reason: error.reason, domain: errorDomain, metadata: { ...error.metadata } }).finish(),
    ),
  ];
  if (error.fieldViolations.length > 0) {
    const fieldViolations = error.fieldViolations.map((violation) => ({ ...violation, localizedMessage: undefined }));
    details.push(any('BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  }
  if (code === status.FAILED_PRECONDITION) {
    const violations = [{ type: error.reason, subject: error.metadata.state ?? '', description: error.message }];
    details.push(any('PreconditionFailure', PreconditionFailure.encode({ violations }).finish()));
  }
  if (http === 404 && error.metadata.resource !== undefined) {
    const resourceType = error.reason.replace(/_NOT_FOUND$/, '').toLowerCase();
    const info = { resourceType, resourceName: error.metadata.resource, owner: '', description: '' };
    details.push(any('ResourceInfo', ResourceInfo.encode(info).finish()));
  }
  if (error.retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(error.retryAfterMs / 1000)),
      nanos: (error.retryAfterMs % 1000) * 1_000_000,
    };
    details.push(any('RetryInfo', RetryInfo.encode({ retryDelay }).finish()));
  }
  return { code, message: error.message, details };
}

/** A google.rpc.Status as grpc-js sends it: details in the trailer `grpc-status-details-bin`. */
export function toStatusObject(thrown: unknown): StatusObject {
  const rpcStatus = toRpcStatus(thrown);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(rpcStatus).finish()));
  return { code: rpcStatus.code, details: rpcStatus.message, metadata };
}

/** The one door in: turns the failure of a call to another process into an AppError. `peer` names it in the message. */
export function fromServiceError(error: ServiceError, peer: string): AppError {
  const packed = error.metadata?.get('grpc-status-details-bin')[0];
  if (Buffer.isBuffer(packed)) {
    const known = fromRpcStatus(Status.decode(packed));
    if (known !== undefined) return known;
  }
  switch (error.code) {
    case status.CANCELLED:
      return new AppError('CANCELLED', 'The call was cancelled', { cause: error });
    case status.DEADLINE_EXCEEDED:
      return new AppError('DEADLINE_EXCEEDED', 'The deadline passed before the call ended', { cause: error });
    case status.UNAVAILABLE:
      return new AppError('SERVICE_UNAVAILABLE', `The ${peer} does not answer`, {
        cause: error,
        retryAfterMs: 1000,
        metadata: { service: peer },
      });
    case status.RESOURCE_EXHAUSTED:
      return new AppError('PAYLOAD_TOO_LARGE', 'The message is too large', { cause: error });
    default:
      return normalizeError(error);
  }
}

/** Reads a google.rpc.Status of ours back; undefined if it has no reason of the contract. */
export function fromRpcStatus(rpcStatus: Status): AppError | undefined {
  let reason: Reason | undefined;
  let metadata: Record<string, string> = {};
  let fieldViolations: FieldViolation[] = [];
  let retryAfterMs: number | undefined;
  for (const detail of rpcStatus.details) {
    if (detail.typeUrl === typeUrl('ErrorInfo')) {
      const info = ErrorInfo.decode(detail.value);
      if (info.domain === errorDomain && isReason(info.reason)) reason = info.reason;
      metadata = info.metadata;
    } else if (detail.typeUrl === typeUrl('BadRequest')) {
      fieldViolations = BadRequest.decode(detail.value).fieldViolations.map(({ field, reason: why, description }) => ({
        field,
        reason: why,
        description,
      }));
    } else if (detail.typeUrl === typeUrl('RetryInfo')) {
      const delay = RetryInfo.decode(detail.value).retryDelay;
      if (delay !== undefined) retryAfterMs = Number(delay.seconds) * 1000 + Math.round(delay.nanos / 1_000_000);
    }
  }
  if (reason === undefined) return undefined;
  return new AppError(reason, rpcStatus.message, {
    metadata,
    fieldViolations,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function any(name: string, value: Uint8Array): { typeUrl: string; value: Buffer } {
  return { typeUrl: typeUrl(name), value: Buffer.from(value) };
}
