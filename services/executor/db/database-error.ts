import { AppError } from '@signet/kit/error/app-error.ts';

const lostConnectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOENT',
  // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections
  '57P01',
  '57P02',
  '57P03',
  '53300',
]);
const lostConnectionTexts =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|Cannot use a pool|not queryable/;

/** True if the database was not there, or went away so that nobody knows whether the statement was done. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== undefined && (lostConnectionCodes.has(code) || code.startsWith('08'))) return true;
  if (error instanceof AggregateError) return error.errors.some(isConnectionLoss);
  return lostConnectionTexts.test(error.message);
}

/** True if the same statement may succeed at once: two transactions stood in each other's way. */
export function isConflict(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === '40001' || code === '40P01' || code === '55P03';
}

/** What a caller is told of a failure of the database: DATABASE_UNAVAILABLE if it is away, else the error itself (a fault of ours). */
export function toDatabaseError(error: unknown): unknown {
  if (!isConnectionLoss(error)) return error;
  return new AppError('DATABASE_UNAVAILABLE', 'The database does not answer', { cause: error, retryAfterMs: 1000 });
}
