import { randomUUID } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { SignetError } from './signet-error.ts';

const FIRST_DELAY_MS = 100;
const DELAY_MAX_MS = 5_000;
const READS = /^(?:Get|List|Recent|Wait|Watch|Validate|Aggregate|Compare|Export|Download|Render|Count|Search)/;

/** How a call may be repeated: `always` for reads, `with_request_id` where an id makes repeats one, else `never`. */
export type Repeatable = 'always' | 'with_request_id' | 'never';

/** Tells how a method may be repeated by its path and a request of it. */
export function repeatableOf(path: string, request: object): Repeatable {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (READS.test(name)) return 'always';
  return 'requestId' in request ? 'with_request_id' : 'never';
}

/** The request with an id of its own where repeats need one and the caller gave none. */
export function withRequestId<T extends object>(request: T, repeatable: Repeatable): T {
  if (repeatable !== 'with_request_id' || ('requestId' in request && request.requestId)) return request;
  return Object.assign(request, { requestId: randomUUID() });
}

/**
 * Milliseconds to wait before a failed call is made again; undefined if it must not be. What the service asks for is kept to; otherwise
 * the delay doubles from 0.1 s to 5 s, with chance in it, so that many callers do not come back at once.
 */
export function repeatDelayMs(error: SignetError, repeatable: Repeatable, attempt: number): number | undefined {
  if (!isPassing(error)) return undefined;
  // An execution that failed is the answer: the same request_id would be told it again.
  if (repeatable !== 'always' && error.executionId !== undefined) return undefined;
  // A call that was refused at the door has changed nothing.
  if (repeatable === 'never' && error.reason !== 'RATE_LIMITED') return undefined;
  if (error.retryAfterMs !== undefined) return error.retryAfterMs;
  const full = Math.min(FIRST_DELAY_MS * 2 ** (attempt - 1), DELAY_MAX_MS);
  return full / 2 + Math.random() * (full / 2);
}

function isPassing(error: SignetError): boolean {
  if (error.code === status.UNAVAILABLE || error.reason === 'WRITE_CONFLICT') return true;
  return error.code === status.RESOURCE_EXHAUSTED && error.retryAfterMs !== undefined;
}
