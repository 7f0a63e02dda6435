import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpExchange } from './exchange.ts';
import { refuse } from './refusal.ts';

const bodyBytesMax = 65_536;

/** What serving a small call needs: how to let it in, later perhaps, and how to pass it on once its body is there. */
export type SmallCallSteps = {
  enter(exchange: HttpExchange): undefined | Promise<void>;
  pass(exchange: HttpExchange, body: Buffer | undefined): void;
  /** Bounds how long a body may take that has not come with its head. */
  guard(request: IncomingMessage): void;
};

/** True for a POST with a small body of known length, which comes with its head as a rule. */
export function isSmallCall({ method, headers }: IncomingMessage): boolean {
  if (method !== 'POST' || headers['transfer-encoding'] !== undefined || headers.expect !== undefined) return false;
  const length = headers['content-length'];
  return length !== undefined && Number(length) <= bodyBytesMax;
}

/** Serves one without the framework's detours: let in, body gathered, passed on. Whatever fails is answered as everywhere. */
export function serveSmallCall(steps: SmallCallSteps, exchange: HttpExchange, response: ServerResponse): void {
  const { request } = exchange;
  const fail = (error: unknown): void => {
    // What is left of the body is of no use to anybody, and must not be taken for the next request.
    request.resume();
    refuse(exchange, response, error);
  };
  try {
    const later = steps.enter(exchange);
    if (later === undefined) gather(steps, exchange, fail);
    else later.then(() => gather(steps, exchange, fail)).catch(fail);
  } catch (error) {
    fail(error);
  }
}

function gather(steps: SmallCallSteps, exchange: HttpExchange, fail: (error: unknown) => void): void {
  const { request } = exchange;
  let body: Buffer | undefined;
  request.on('data', (chunk: Buffer) => {
    body = body === undefined ? chunk : Buffer.concat([body, chunk]);
  });
  request.on('end', () => {
    try {
      steps.pass(exchange, body);
    } catch (error) {
      fail(error);
    }
  });
  // Nobody is there any more to be told.
  request.on('error', () => {});
  process.nextTick(() => {
    if (!request.complete) steps.guard(request);
  });
}
