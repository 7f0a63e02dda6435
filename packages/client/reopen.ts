import { setTimeout as sleep } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import type { CallOptions } from './channel.grpc.ts';
import { SignetError } from './signet-error.ts';

// A restart takes a few seconds.
const LOST_MAX = 10;
const LOOK_AGAIN_MS = 1_000;

/**
 * What a stream gives, which is opened again where the service went away meanwhile, up to ten times in a row. `open` decides where it
 * goes on. With `retries: 0` nothing is opened twice.
 */
export async function* reopened<T>(
  open: () => AsyncIterable<T>,
  { signal, retries }: CallOptions = {},
): AsyncGenerator<T, void> {
  for (let lost = 0; ; ) {
    try {
      for await (const one of open()) {
        lost = 0;
        yield one;
      }
      return;
    } catch (error) {
      lost += 1;
      const isLost = error instanceof SignetError && error.code === status.UNAVAILABLE;
      if (!isLost || lost > LOST_MAX || retries === 0) throw error;
      // Who does not want to wait ends the next call at once.
      await sleep(error.retryAfterMs ?? LOOK_AGAIN_MS, undefined, signal === undefined ? {} : { signal }).catch(
        () => {},
      );
    }
  }
}
