import { status } from '@grpc/grpc-js';

type Row = { readonly code: status; readonly http: number };

const row = (code: status, http: number): Row => ({ code, http });

/** Every reason of the contract with its gRPC code and HTTP status. */
export const reasons = {
  INVALID_REQUEST: row(status.INVALID_ARGUMENT, 400),
  SIGNATURE_SYNTAX: row(status.INVALID_ARGUMENT, 400),
  SIGNATURE_TYPE: row(status.INVALID_ARGUMENT, 400),
  MODULE_INVALID: row(status.INVALID_ARGUMENT, 400),
  PIPELINE_INVALID: row(status.INVALID_ARGUMENT, 400),
  INPUT_INVALID: row(status.INVALID_ARGUMENT, 400),
  PAGE_TOKEN_INVALID: row(status.INVALID_ARGUMENT, 400),
  FILTER_SYNTAX: row(status.INVALID_ARGUMENT, 400),
  IDEMPOTENCY_KEY_REUSED: row(status.INVALID_ARGUMENT, 422),
  PAYLOAD_TOO_LARGE: row(status.INVALID_ARGUMENT, 413),
  UNSUPPORTED_MEDIA_TYPE: row(status.INVALID_ARGUMENT, 415),
  KEY_MISSING: row(status.UNAUTHENTICATED, 401),
  KEY_INVALID: row(status.UNAUTHENTICATED, 401),
  KEY_EXPIRED: row(status.UNAUTHENTICATED, 401),
  ROLE_REQUIRED: row(status.PERMISSION_DENIED, 403),
  SIGNATURE_NOT_FOUND: row(status.NOT_FOUND, 404),
  MODULE_NOT_FOUND: row(status.NOT_FOUND, 404),
  PROGRAM_NOT_FOUND: row(status.NOT_FOUND, 404),
  VERSION_NOT_FOUND: row(status.NOT_FOUND, 404),
  EXECUTION_NOT_FOUND: row(status.NOT_FOUND, 404),
  BATCH_NOT_FOUND: row(status.NOT_FOUND, 404),
  JOB_NOT_FOUND: row(status.NOT_FOUND, 404),
  EVALUATION_NOT_FOUND: row(status.NOT_FOUND, 404),
  DATASET_NOT_FOUND: row(status.NOT_FOUND, 404),
  OPTIMIZER_NOT_FOUND: row(status.NOT_FOUND, 404),
  LM_NOT_FOUND: row(status.NOT_FOUND, 404),
  KEY_NOT_FOUND: row(status.NOT_FOUND, 404),
  ROUTE_NOT_FOUND: row(status.NOT_FOUND, 404),
  METHOD_NOT_ALLOWED: row(status.NOT_FOUND, 405),
  NAME_TAKEN: row(status.ALREADY_EXISTS, 409),
  STATE_FORBIDS: row(status.FAILED_PRECONDITION, 409),
  SIGNATURE_DEPRECATED: row(status.FAILED_PRECONDITION, 409),
  SIGNATURE_IN_USE: row(status.FAILED_PRECONDITION, 409),
  GATE_REFUSED: row(status.FAILED_PRECONDITION, 409),
  PROGRAM_NOT_READY: row(status.FAILED_PRECONDITION, 409),
  LM_NOT_CONFIGURED: row(status.FAILED_PRECONDITION, 409),
  ETAG_MISMATCH: row(status.ABORTED, 412),
  WRITE_CONFLICT: row(status.ABORTED, 409),
  RATE_LIMITED: row(status.RESOURCE_EXHAUSTED, 429),
  QUEUE_FULL: row(status.RESOURCE_EXHAUSTED, 429),
  BUDGET_EXCEEDED: row(status.RESOURCE_EXHAUSTED, 429),
  LM_RATE_LIMITED: row(status.RESOURCE_EXHAUSTED, 429),
  DEADLINE_EXCEEDED: row(status.DEADLINE_EXCEEDED, 504),
  CANCELLED: row(status.CANCELLED, 499),
  ENGINE_UNAVAILABLE: row(status.UNAVAILABLE, 503),
  WORKER_LOST: row(status.UNAVAILABLE, 503),
  LM_UNAVAILABLE: row(status.UNAVAILABLE, 503),
  DATABASE_UNAVAILABLE: row(status.UNAVAILABLE, 503),
  SERVICE_UNAVAILABLE: row(status.UNAVAILABLE, 503),
  SHUTTING_DOWN: row(status.UNAVAILABLE, 503),
  LM_REPLY_UNREADABLE: row(status.UNKNOWN, 502),
  LM_ERROR: row(status.UNKNOWN, 502),
  MODULE_FAILED: row(status.UNKNOWN, 502),
  INTERNAL: row(status.INTERNAL, 500),
} as const satisfies Record<string, Row>;

/** A reason of the contract. */
export type Reason = keyof typeof reasons;

/** True if a string is a reason of the contract. */
export function isReason(value: string): value is Reason {
  return Object.hasOwn(reasons, value);
}
