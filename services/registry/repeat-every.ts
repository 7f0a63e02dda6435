import type { Logger } from '@signet/kit/log/logger.ts';

/**
 * Runs a piece of work again and again, `everyMs` after its last end, and the first time after `firstMs`; failures are logged. Gives what
 * ends it and waits for it.
 */
export function repeatEvery(
  everyMs: number,
  log: Logger,
  work: () => Promise<unknown>,
  firstMs = everyMs,
): () => Promise<void> {
  let timer: NodeJS.Timeout;
  let running: Promise<unknown> = Promise.resolve();
  let isClosed = false;
  const plan = (inMs: number): void => {
    timer = setTimeout(() => {
      running = work()
        .catch((error: unknown) => log.warn({ err: error }, 'housekeeping failed'))
        .finally(() => {
          if (!isClosed) plan(everyMs);
        });
    }, inMs);
    timer.unref();
  };
  plan(firstMs);
  return async () => {
    isClosed = true;
    clearTimeout(timer);
    await running;
  };
}
