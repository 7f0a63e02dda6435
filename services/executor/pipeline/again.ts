import { normalizeError } from '@signet/kit/error/normalize.ts';
import { pauseOrThrow } from '@signet/kit/pause.ts';

const firstMs = 50;
const maxMs = 2_000;

// The same again would come to the same.
const final: ReadonlySet<string> = new Set([
  'INPUT_INVALID',
  'INVALID_REQUEST',
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'SHUTTING_DOWN',
  'LM_NOT_CONFIGURED',
  'LM_NOT_FOUND',
  'MODULE_INVALID',
  'MODULE_NOT_FOUND',
  'BUDGET_EXCEEDED',
]);

/** True for a failure of a step that may be another one's success. */
export function mayTryAgain(failure: unknown): boolean {
  return !final.has(normalizeError(failure).reason);
}

/** Waits before a step is tried anew: 50 ms, twice as long each time, at most 2 s. Rejects with the reason of an abort. */
export function pause(turn: number, signal: AbortSignal): Promise<void> {
  return pauseOrThrow(Math.min(firstMs * 2 ** turn, maxMs), signal);
}
