import { stringify } from 'csv-stringify/sync';
import type { BatchItem } from './batch-items.ts';
import { columnsOf, type ResultFields, rowOf } from './result-fields.ts';

const rowsAtOnce = 100;

/** Writes items as CSV (RFC 4180) under a heading. */
export async function* csvResults(
  items: AsyncIterable<BatchItem>,
  fields: ResultFields,
): AsyncGenerator<Uint8Array, void> {
  const columns = columnsOf(fields);
  let rows: string[][] = [columns.map(({ name }) => name)];
  for await (const item of items) {
    const row = rowOf(item);
    rows.push(columns.map(({ text }) => text(row)));
    if (rows.length < rowsAtOnce) continue;
    yield Buffer.from(stringify(rows));
    rows = [];
  }
  if (rows.length > 0) yield Buffer.from(stringify(rows));
}
