import { createHash } from 'node:crypto';
import { AppError } from './error/app-error.ts';

/** The size of a page: 0 means 50, above 1,000 means 1,000, negative is refused. */
export function pageSize(asked: number, field = 'page_size'): number {
  if (asked < 0) {
    throw new AppError('INVALID_REQUEST', `${field} must not be negative`, {
      fieldViolations: [{ field, reason: 'NEGATIVE', description: 'must not be negative' }],
      metadata: { field },
    });
  }
  return asked === 0 ? 50 : Math.min(asked, 1000);
}

/** Makes an opaque token out of the last row's keys, bound to the query that it belongs to. */
export function encodePageToken(query: readonly string[], keys: readonly string[]): string {
  return Buffer.from(JSON.stringify([fingerprint(query), ...keys])).toString('base64url');
}

/** Reads a token back; PAGE_TOKEN_INVALID if it is not one of this query's. Empty means the first page: undefined. */
export function decodePageToken(token: string, query: readonly string[], keyCount: number): string[] | undefined {
  if (token === '') return undefined;
  const parts = parse(token);
  if (
    parts === undefined ||
    parts.length !== keyCount + 1 ||
    parts[0] !== fingerprint(query) ||
    !parts.every((part) => typeof part === 'string' && part.length <= 1024 && !part.includes('\0'))
  ) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order', {
      fieldViolations: [
        {
          field: 'page_token',
          reason: 'PAGE_TOKEN_INVALID',
          description: 'must be a next_page_token of the same query',
        },
      ],
    });
  }
  return parts.slice(1) as string[];
}

function parse(token: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function fingerprint(query: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(query)).digest('base64url').slice(0, 12);
}
