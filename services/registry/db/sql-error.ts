import { AppError } from '@signet/kit/error/app-error.ts';

const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'ENOENT',
  // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections, disk_full
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '53100',
]);
const awayTexts =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/;

/** The SQLSTATE or system code of a failure of the database; empty if it has none. */
export function sqlCode(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** True if the database was not there or went away. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError && error.errors.some(isDatabaseAway)) return true;
  const code = sqlCode(error);
  // protocol_violation is a fault of ours, the others of its class are lost connections.
  if (code === '08P01') return false;
  return awayCodes.has(code) || code.startsWith('08') || awayTexts.test(error.message);
}

/** The one door from the driver's errors: what callers can do something about gets its reason, the rest stays a fault of ours. */
export function fromSqlError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  if (isDatabaseAway(error)) {
    return new AppError('DATABASE_UNAVAILABLE', 'The database does not answer', { cause: error, retryAfterMs: 1000 });
  }
  const code = sqlCode(error);
  // serialization_failure, deadlock_detected, lock_not_available
  if (code === '40001' || code === '40P01' || code === '55P03') {
    return new AppError('WRITE_CONFLICT', 'Another change came first; try again', { cause: error, retryAfterMs: 100 });
  }
  // character_not_in_repertoire, untranslatable_character
  if (code === '22021' || code === '22P05') {
    return new AppError('INVALID_REQUEST', 'A text holds characters that cannot be stored', { cause: error });
  }
  return error;
}
