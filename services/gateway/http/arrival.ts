import type { IncomingMessage } from 'node:http';
import { refuseConnection } from './refusal.ts';

const guards = new WeakMap<IncomingMessage, NodeJS.Timeout>();

/** Gives a body `timeoutMs` to arrive and then ends the connection, unless `mayTakeLong` was said of it by then. */
export function guardArrival(request: IncomingMessage, timeoutMs: number): void {
  const { headers } = request;
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return;
  const timer = setTimeout(() => {
    if (request.complete) return;
    const late = Object.assign(new Error('the body took too long'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    refuseConnection(late, request.socket);
  }, timeoutMs);
  guards.set(request, timer);
  request.once('close', () => clearTimeout(timer));
}

/** A body whose length nobody knows beforehand may take as long as its call. */
export function mayTakeLong(request: IncomingMessage): void {
  clearTimeout(guards.get(request));
}
