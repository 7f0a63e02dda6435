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

/** Cuts a list that was read one row too far into a page. */
export function toPage<T>(
  rows: readonly PageRow[],
  pageSize: number,
  bound: readonly string[],
  keyCount: number,
  map: (row: PageRow) => T,
): Page<T> {
  const page = rows.slice(0, pageSize);
  const last = rows.length > pageSize ? page.at(-1) : undefined;
  const keys = Array.from({ length: keyCount }, (_, index) => String(last?.[`order_key_${index}`]));
  return { items: page.map(map), nextPageToken: last === undefined ? '' : encodePageToken(bound, keys) };
}

/** Reads a key of a page token that must be a whole number. */
export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list');
}
