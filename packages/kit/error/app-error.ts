import { type Reason, reasons } from './reasons.ts';

/** What was wrong with one field of a request; `field` is a path such as `inputs.context[2]`. */
export type FieldViolation = { readonly field: string; readonly reason: string; readonly description: string };

/** What an error says besides its reason and message. */
export type AppErrorDetails = {
  /** The changing parts of the message and ids that help the caller. Never a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly fieldViolations?: readonly FieldViolation[];
  /** When the same call is worth repeating. */
  readonly retryAfterMs?: number;
  /** `input`, `lm`, `parse`, `module`, `engine`, `deadline`, `cancelled` or `internal`. */
  readonly category?: string;
  /** The Python class behind it. */
  readonly pythonType?: string;
  /** Python's traceback: kept with the execution for admins, never sent in a status. */
  readonly traceback?: string;
  /** True if the same call could succeed later. */
  readonly retryable?: boolean;
  /** For the log, never for the caller. */
  readonly cause?: unknown;
};

/** An expected failure: it carries a reason of the contract and a message for the caller. */
export class AppError extends Error {
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fieldViolations: readonly FieldViolation[];
  readonly retryAfterMs: number | undefined;
  readonly category: string;
  readonly pythonType: string;
  readonly traceback: string;
  readonly retryable: boolean;

  constructor(reason: Reason, message: string, details: AppErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'AppError';
    this.reason = reason;
    this.metadata = details.metadata ?? {};
    this.fieldViolations = details.fieldViolations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.category = details.category ?? categoryOf(reason);
    this.pythonType = details.pythonType ?? '';
    this.traceback = details.traceback ?? '';
    this.retryable = details.retryable ?? isTransient(reason);
  }

  /** The same error with more metadata. */
  with(metadata: Readonly<Record<string, string>>): AppError {
    const copy = new AppError(this.reason, this.message, {
      ...this,
      metadata: { ...this.metadata, ...metadata },
      cause: this.cause,
    });
    copy.stack = this.stack ?? '';
    return copy;
  }
}

/** An INVALID_REQUEST about one field. */
export function invalidField(field: string, description: string, reason = 'INVALID'): AppError {
  return new AppError('INVALID_REQUEST', `${field}: ${description}`, {
    fieldViolations: [{ field, reason, description }],
    metadata: { field },
  });
}

/** Throws when something that must always hold does not; the caller sees INTERNAL, the log sees the message. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}

function categoryOf(reason: Reason): string {
  if (reason === 'INPUT_INVALID') return 'input';
  if (reason === 'LM_REPLY_UNREADABLE') return 'parse';
  if (reason.startsWith('LM_')) return 'lm';
  if (reason.startsWith('MODULE_')) return 'module';
  if (reason === 'DEADLINE_EXCEEDED') return 'deadline';
  if (reason === 'CANCELLED') return 'cancelled';
  if (reason === 'INTERNAL') return 'internal';
  return 'engine';
}

function isTransient(reason: Reason): boolean {
  const { http } = reasons[reason];
  return http === 429 || http === 503 || reason === 'WRITE_CONFLICT';
}
