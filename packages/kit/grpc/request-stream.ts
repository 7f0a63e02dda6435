import type { Readable } from 'node:stream';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { CallContext } from '../call-context.ts';
import { AppError } from '../error/app-error.ts';
import { isRefused } from './deserialize.ts';

/** Metadata of a streamed call whose last request is `lastRequest`, and its value. */
export const lastRequestHeader = { name: 'signet-requests', value: 'marked' } as const;

/** The bytes of the request after which there is none: a field that no message has. */
export const lastRequest: Buffer = Buffer.from([0xfa, 0xff, 0xff, 0xff, 0x0f, 0x00]);

/** Stands in for the request after which there is none. */
export class LastRequest {}

/** Knows the last request when it comes, and reads all others as they were. */
export function marksLast<T>(deserialize: (bytes: Buffer) => T): (bytes: Buffer) => T | LastRequest {
  return (bytes) => (lastRequest.equals(bytes) ? new LastRequest() : deserialize(bytes));
}

// What tells that a caller went away comes right behind what looks as if it had said all.
const afterthoughtMs = 20;
const abortWithinMs = 1_000;

/**
 * The requests of a call that streams them, each read when it is asked for: a handler that is busy holds its caller back. Throws what a
 * message that cannot be read is refused with, and CANCELLED or DEADLINE_EXCEEDED where the caller went away before it had said all: what
 * came until then is never taken for the whole. Leaving the iteration early leaves the answer as it is.
 */
export async function* requestsOf<T>(
  call: Readable & { readonly cancelled: boolean },
  ctx: Pick<CallContext, 'signal' | 'header'>,
): AsyncGenerator<T, void> {
  // Asked for now: a call that is cancelled before anybody looks would else not be known as such.
  const { signal } = ctx;
  const isMarked = ctx.header(lastRequestHeader.name) === lastRequestHeader.value;
  try {
    for await (const request of isMarked ? asTheyCome(call) : messagesOf(call)) {
      if (request instanceof LastRequest) return;
      if (isRefused(request)) throw request.error;
      yield request as T;
    }
  } catch (error) {
    // A cancelled call is torn down under its reader.
    throw signal.aborted ? signal.reason : error;
  }
  if (!isMarked) return;
  // Whatever else works for this call hears of it no later than its reader.
  if (!signal.aborted) await Promise.race([aborted(signal), setTimeout(abortWithinMs)]);
  throw signal.aborted ? signal.reason : goneAway();
}

/** The messages of a streamed call as they come; throws CANCELLED if they end because the caller went away. */
export async function* messagesOf<T>(call: Readable & { readonly cancelled: boolean }): AsyncGenerator<T, void> {
  yield* asTheyCome(call);
  // A caller of HTTP/2 that cancels closes its side first, so the end of a stream alone does not say that it is whole.
  await setTimeout(afterthoughtMs);
  await setImmediate();
  if (call.cancelled) throw goneAway();
}

function asTheyCome<T>(call: Readable): AsyncIterable<T> {
  return call.iterator({ destroyOnReturn: false }) as AsyncIterable<T>;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function goneAway(): AppError {
  return new AppError('CANCELLED', 'The caller went away');
}
