import { type ServiceError, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from '@signet/proto/gen/google/rpc/error_details.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';

/** What was wrong with one field of a request; `field` is a path such as `inputs.context[2]`. */
export type FieldViolation = { readonly field: string; readonly reason: string; readonly description: string };

/** What a SignetError says besides its reason and message. */
export type SignetErrorDetails = {
  readonly code: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
};

/** The failure of a call: what the service said, or what kept the call from reaching it. */
export class SignetError extends Error {
  /** A reason of the contract such as INPUT_INVALID; DEADLINE_EXCEEDED, CANCELLED or SERVICE_UNAVAILABLE where nobody answered. */
  readonly reason: string;
  /** The gRPC code. */
  readonly code: number;
  /** The changing parts of the message. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly fieldViolations: readonly FieldViolation[];
  /** How long the service asks callers to wait before the same call; undefined if it does not say. */
  readonly retryAfterMs: number | undefined;
  /** The execution that failed; undefined if none was made. */
  readonly executionId: string | undefined;

  constructor(reason: string, message: string, details: SignetErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'SignetError';
    this.reason = reason;
    this.code = details.code;
    this.metadata = details.metadata ?? {};
    this.fieldViolations = details.fieldViolations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.executionId = this.metadata.executionId;
  }
}

/** Turns the failure of a grpc-js call into a SignetError; what is none comes back as it is. */
export function toSignetError(error: unknown): unknown {
  if (error instanceof SignetError || !isServiceError(error)) return error;
  const packed = error.metadata?.get('grpc-status-details-bin')[0];
  const said = Buffer.isBuffer(packed) ? readStatus(packed) : undefined;
  return said ?? new SignetError(reasonOf(error.code), messageOf(error), { code: error.code, cause: error });
}

/** Reads a google.rpc.Status, such as the end of a watched execution. */
export function fromRpcStatus(rpcStatus: Status): SignetError {
  let reason = reasonOf(rpcStatus.code);
  let metadata: Record<string, string> = {};
  let fieldViolations: FieldViolation[] = [];
  let retryAfterMs: number | undefined;
  for (const { typeUrl, value } of rpcStatus.details) {
    if (typeUrl.endsWith('/google.rpc.ErrorInfo')) {
      const info = ErrorInfo.decode(value);
      if (info.reason !== '') reason = info.reason;
      metadata = info.metadata;
    } else if (typeUrl.endsWith('/google.rpc.BadRequest')) {
      fieldViolations = BadRequest.decode(value).fieldViolations.map(({ field, reason: why, description }) => ({
        ...{ field, reason: why, description },
      }));
    } else if (typeUrl.endsWith('/google.rpc.RetryInfo')) {
      const delay = RetryInfo.decode(value).retryDelay;
      if (delay !== undefined) retryAfterMs = Number(delay.seconds) * 1000 + Math.ceil(delay.nanos / 1_000_000);
    }
  }
  return new SignetError(reason, rpcStatus.message, { code: rpcStatus.code, metadata, fieldViolations, retryAfterMs });
}

function readStatus(packed: Buffer): SignetError | undefined {
  try {
    return fromRpcStatus(Status.decode(packed));
  } catch {
    return undefined;
  }
}

// What a transport or a proxy says has a code and no reason.
function reasonOf(code: number): string {
  if (code === status.UNAVAILABLE) return 'SERVICE_UNAVAILABLE';
  return status[code] ?? 'UNKNOWN';
}

// grpc-js says more than a reader wants to know of a connection that was refused.
function messageOf(error: ServiceError): string {
  const [why] = /\b(?:connect|getaddrinfo|read) E[A-Z]+[^.\n]*(?:\.\d+)*(?::\d+)?/.exec(error.details) ?? [];
  if (error.code !== status.UNAVAILABLE || why === undefined) return error.details || error.message;
  return `The service does not answer (${why})`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}
