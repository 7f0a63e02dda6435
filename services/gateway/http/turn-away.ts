import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { noPlace } from '../admission/turnstile.ts';
import { problemHeaders, problemOf } from './problem.ts';

/** A body larger than this is not worth reading only to keep the connection. */
const drainedBytesMax = 65_536;

/** A refusal in the form in which it is sent. */
type Written = { readonly headers: readonly string[]; readonly body: string };

// There are few of them, and under load many are sent: each is written once.
const written = new WeakMap<AppError, Written>();

/** Refuses a request for want of a place: its body is not read, its key not looked at. */
export function turnAway(request: IncomingMessage, response: ServerResponse, isDraining: boolean): void {
  const { headers, body } = writtenRefusal();
  const { headers: given } = request;
  const isLong = given['transfer-encoding'] !== undefined || Number(given['content-length'] ?? 0) > drainedBytesMax;
  response.writeHead(429, isLong || isDraining ? [...headers, 'connection', 'close'] : [...headers]);
  response.end(body);
}

/** The next refusal as a whole answer over HTTP/1.1, which leaves the connection open. */
export function refusalBytes(keepAliveS: number): Buffer {
  const { headers, body } = writtenRefusal();
  let text = 'HTTP/1.1 429 Too Many Requests\r\n';
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  text += `date: ${new Date().toUTCString()}\r\nconnection: keep-alive\r\nkeep-alive: timeout=${keepAliveS}\r\n\r\n`;
  return Buffer.from(text + body, 'latin1');
}

/** Bytes that a request says its body has; 64 KiB where it does not say. */
export function announcedBytes({ headers }: IncomingMessage): number {
  const length = headers['content-length'];
  if (length === undefined) return headers['transfer-encoding'] === undefined ? 0 : drainedBytesMax;
  const bytes = Number(length);
  return Number.isFinite(bytes) ? bytes : drainedBytesMax;
}

function writtenRefusal(): Written {
  const error = noPlace();
  let known = written.get(error);
  if (known === undefined) {
    const body = JSON.stringify(problemOf(error));
    const headers = {
      ...problemHeaders(error),
      'x-content-type-options': 'nosniff',
      'content-length': `${body.length}`,
    };
    known = { headers: Object.entries(headers).flat(), body };
    written.set(error, known);
  }
  return known;
}
