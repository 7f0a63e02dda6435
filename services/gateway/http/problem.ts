import type { AppError } from '@signet/kit/error/app-error.ts';
import { type Reason, reasons } from '@signet/kit/error/reasons.ts';

/** An error as HTTP callers see it (RFC 9457). */
export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations?: readonly { readonly field: string; readonly reason: string; readonly description: string }[];
  readonly traceId?: string;
  readonly retryAfterMs?: number;
};

/** The media type of a problem. */
export const problemType = 'application/problem+json; charset=utf-8';

/** Writes an error as a problem; `traceId` is left out where it is not known. */
export function problemOf(error: AppError, traceId = ''): Problem {
  return {
    type: `https://signet.dev/errors/${error.reason}`,
    title: titleOf(error.reason),
    status: reasons[error.reason].http,
    detail: error.message,
    reason: error.reason,
    metadata: error.metadata,
    ...(error.fieldViolations.length === 0 ? {} : { violations: error.fieldViolations }),
    ...(traceId === '' ? {} : { traceId }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  };
}

/** The headers that an error asks for besides its body. */
export function problemHeaders(error: AppError): Record<string, string> {
  const headers: Record<string, string> = { 'content-type': problemType, 'cache-control': 'no-store' };
  const { http } = reasons[error.reason];
  const retryAfterMs = error.retryAfterMs ?? (http === 503 || http === 429 ? 1000 : undefined);
  if (retryAfterMs !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  if (http === 401) headers['www-authenticate'] = 'Bearer realm="signet"';
  return headers;
}

/** A reason in words: `Program not ready`. */
export function titleOf(reason: Reason): string {
  const words = reason
    .toLowerCase()
    .replaceAll('_', ' ')
    .replace(/\blm\b/g, 'language model');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
