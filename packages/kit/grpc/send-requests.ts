import type { ClientWritableStream } from '@grpc/grpc-js';

/**
 * Writes requests to a call as they come, no faster than the other side reads, and ends it behind the last one. Leaves the requests, and
 * resolves, once `over` is aborted; rejects with what the requests themselves failed with.
 */
export async function sendRequests<Req>(
  call: ClientWritableStream<Req>,
  requests: AsyncIterable<Req>,
  over: AbortSignal,
): Promise<void> {
  for await (const request of requests) {
    if (over.aborted) return;
    if (!call.write(request)) await drained(call, over);
  }
  if (!over.aborted) call.end();
}

function drained(call: NodeJS.EventEmitter, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      over.removeEventListener('abort', done);
      resolve();
    };
    call.once('drain', done);
    over.addEventListener('abort', done);
    if (over.aborted) done();
  });
}
