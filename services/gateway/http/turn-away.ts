import type { IncomingMessage, ServerResponse } from 'node:http';
import { noPlace } from '../admission/turnstile.ts';
import { problemHeaders, problemOf } from './problem.ts';

/** A body larger than this is not worth reading only to keep the connection. */
const drainedBytesMax = 65_536;

/** Refuses a request for want of a place: its body is not read, its key not looked at. */
export function turnAway(request: IncomingMessage, response: ServerResponse, isDraining: boolean): void {
  const error = noPlace();
  const body = Buffer.from(JSON.stringify(problemOf(error)));
  const { headers } = request;
  const isLong = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > drainedBytesMax;
  response.writeHead(429, {
    ...problemHeaders(error),
    'x-content-type-options': 'nosniff',
    'content-length': body.length,
    ...(isLong || isDraining ? { connection: 'close' } : {}),
  });
  response.end(body);
}

/** Bytes that a request says its body has; 64 KiB where it does not say. */
export function announcedBytes({ headers }: IncomingMessage): number {
  const length = headers['content-length'];
  if (length === undefined) return headers['transfer-encoding'] === undefined ? 0 : drainedBytesMax;
  const bytes = Number(length);
  return Number.isFinite(bytes) ? bytes : drainedBytesMax;
}
