import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { isReason } from '@signet/kit/error/reasons.ts';
import type { ExecutionFault } from './execution.ts';

/** What is kept of a failure: no NUL and no lone surrogate, which the database cannot hold, and no text without end. */
export function faultOf(thrown: unknown): ExecutionFault {
  const error = normalizeError(thrown);
  return {
    reason: error.reason,
    message: storable(error.message, 10_000),
    category: error.category,
    retryable: error.retryable,
    python_type: storable(error.pythonType, 200),
    field_violations: error.fieldViolations.map(({ field, reason, description }) => ({
      field: storable(field, 1000),
      reason,
      description: storable(description, 1000),
    })),
    traceback: storable(error.traceback !== '' ? error.traceback : causeOf(error), 20_000),
    metadata: Object.fromEntries(Object.entries(error.metadata).map(([key, value]) => [key, storable(value, 1000)])),
    ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: error.retryAfterMs }),
  };
}

/** The error that a kept failure stands for, naming its execution. */
export function errorOf(fault: ExecutionFault, executionId: string): AppError {
  const reason = isReason(fault.reason) ? fault.reason : 'INTERNAL';
  return new AppError(reason, fault.message, {
    category: fault.category,
    retryable: fault.retryable,
    pythonType: fault.python_type,
    fieldViolations: fault.field_violations,
    metadata: { ...fault.metadata, executionId },
    ...(fault.retry_after_ms === undefined ? {} : { retryAfterMs: fault.retry_after_ms }),
  });
}

// An unexpected exception is told to nobody but admins, by the row's traceback.
function causeOf(error: AppError): string {
  if (error.reason !== 'INTERNAL' || !(error.cause instanceof Error)) return '';
  return `Execution exception: ${error.cause.message}\n${error.cause.stack ?? ''}`;
}

function storable(text: string, lengthMax: number): string {
  const cut = text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text;
  return cut.replaceAll('\u0000', '\\u0000').toWellFormed();
}
