import { AppError } from '@signet/kit/error/app-error.ts';
import { encodePageToken } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { sqlCode } from './sql-error.ts';

/** A row of a list with the keys of its order. */
export type PageRow = Record<string, unknown>;

/** Awaits a list; a token whose keys are of another type than the order's is PAGE_TOKEN_INVALID. */
export async function pageRows(rows: Promise<PageRow[]>): Promise<PageRow[]> {
  try {
    return await rows;
  } catch (error) {
    // invalid_text_representation, invalid_datetime_format, datetime_field_overflow
    if (!['22P02', '22007', '22008'].includes(sqlCode(error))) throw error;
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order', {
      cause: error,
    });
  }
}

// Well under what a message may have, as the rest of the answer and the rows' own form on the wire come to it.
const pageBytesMax = 4 * 1024 * 1024;

/** The SQL of a list that ends after 4 MiB of rows, though never before its first one: large rows make short pages, not refused ones. */
export function shortened(list: string): string {
  return `select * from (
      select page.*, count(*) over () as page_found,
        sum(octet_length(page::text)) over (rows between unbounded preceding and 1 preceding) as page_bytes_before
      from (${list}) page
    ) measured where coalesce(page_bytes_before, 0) < ${pageBytesMax}`;
}

/** The rows of a page up to 4 MiB of JSON, the first one in any case; for lists that are not read by SQL of ours. */
export function shortPage<T>(rows: readonly T[]): readonly T[] {
  let bytes = 0;
  const end = rows.findIndex((row, at) => {
    const before = bytes;
    bytes += JSON.stringify(row).length;
    return at > 0 && before >= pageBytesMax;
  });
  return end === -1 ? rows : rows.slice(0, end);
}

/** Cuts a list that was read one row too far, or was shortened, into a page. */
export function toPage<T>(
  rows: readonly PageRow[],
  pageSize: number,
  bound: readonly string[],
  keyCount: number,
  map: (row: PageRow) => T,
): Page<T> {
  const page = rows.slice(0, pageSize);
  const found = Number(rows[0]?.page_found ?? rows.length);
  const last = found > page.length ? page.at(-1) : undefined;
  const keys = Array.from({ length: keyCount }, (_, index) => String(last?.[`order_key_${index}`]));
  return { items: page.map(map), nextPageToken: last === undefined ? '' : encodePageToken(bound, keys) };
}

/** Reads a key of a page token that must be a whole number. */
export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list');
}
