import { createHash } from 'node:crypto';
import { AppError } from '@signet/kit/error/app-error.ts';

/** A row that changes its version with each change. */
export type Versioned = { readonly id: string; readonly rowVersion: number };

/** The opaque etag of a row as it is now. */
export function etagOf(row: Versioned): string {
  return createHash('sha256').update(`${row.id}:${row.rowVersion}`).digest('base64url').slice(0, 16);
}

/** Throws ETAG_MISMATCH if a caller saw another state of the row; an empty etag compares nothing. HTTP's quotes are taken. */
export function requireEtag(row: Versioned, given: string): void {
  const bare = given.replace(/^(?:W\/)?"(.*)"$/, '$1');
  if (bare === '' || bare === '*' || bare === etagOf(row)) return;
  throw new AppError('ETAG_MISMATCH', 'It was changed since you read it; read it again', {
    metadata: { etag: etagOf(row) },
  });
}
