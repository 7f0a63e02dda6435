import type { Writable } from 'node:stream';

/** Something that gives requests one by one. */
export type Many<T> = Iterable<T> | AsyncIterable<T>;

/** Writes requests as they come, no faster than the call takes them, and stops once it is over. Throws what the requests break with. */
export async function sendRequests<T>(call: Writable, requests: Many<T>): Promise<void> {
  for await (const request of requests) {
    if (call.destroyed || call.writableEnded) return;
    if (!call.write(request)) await drained(call);
  }
  call.end();
}

function drained(call: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error', 'finish']) call.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error', 'finish']) call.on(event, done);
  });
}
