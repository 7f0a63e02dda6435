import { setTimeout } from 'node:timers/promises';
import { AppError } from './error/app-error.ts';

/** Waits for `delayMs`, or less where the signal is aborted; never rejects. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await setTimeout(delayMs, undefined, { signal }).catch(() => {});
}

/** Waits for `delayMs`; throws what the signal is aborted with, or CANCELLED if that is no AppError, as soon as it is. */
export async function pauseOrThrow(delayMs: number, signal?: AbortSignal): Promise<void> {
  try {
    await setTimeout(delayMs, undefined, { signal });
  } catch (error) {
    if (signal?.reason instanceof AppError) throw signal.reason;
    throw new AppError('CANCELLED', 'The call was cancelled', { cause: error });
  }
}
