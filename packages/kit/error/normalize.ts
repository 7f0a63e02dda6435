import { randomUUID } from 'node:crypto';
import { AppError } from './app-error.ts';

/** The text that stands for every unexpected failure. */
export const unexpectedMessage = 'An unexpected error occurred';

/**
 * Turns whatever was thrown into an AppError. What is not one becomes INTERNAL with an error id; the original stays as
 * `cause` for the log.
 */
export function normalizeError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Error && error.name === 'AbortError') {
    return new AppError('CANCELLED', 'The call was cancelled', { cause: error });
  }
  return new AppError('INTERNAL', unexpectedMessage, { cause: error, metadata: { error_id: randomUUID() } });
}
