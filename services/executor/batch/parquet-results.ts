import { JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { ByteWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';
import type { BatchItem } from './batch-items.ts';
import { columnsOf, type ResultColumn, type ResultFields, type ResultRow, rowOf } from './result-fields.ts';

const rowsInGroup = 1_000;
const charactersInGroup = 16 * 1024 * 1024;
const int64Max = (1n << 63n) - 1n;

const types = { text: 'STRING', integer: 'INT64', number: 'DOUBLE', truth: 'BOOLEAN' } as const;

/**
 * Writes items as a Parquet file in groups of at most 1,000 rows; only a group is in memory. An integer beyond 64 bits is absent there;
 * NDJSON has it.
 */
export async function* parquetResults(
  items: AsyncIterable<BatchItem>,
  fields: ResultFields,
): AsyncGenerator<Uint8Array, void> {
  const columns = columnsOf(fields);
  const writer = new ByteWriter();
  const columnData = (rows: readonly ResultRow[]) =>
    columns.map((column) => ({
      name: column.name,
      data: rows.map((row) => cellOf(column, row)),
      nullable: true,
    }));
  const typed = columns.map(({ name, kind }) => ({ name, data: [], type: types[kind], nullable: true }));
  const file = new ParquetWriter({ writer, schema: schemaFromColumnData({ columnData: typed }), createdBy: 'signet' });
  const written = (): Uint8Array => {
    const bytes = writer.getBytes().slice();
    // What was taken is not kept: offsets in the file are counted apart.
    writer.index = 0;
    return bytes;
  };
  let rows: ResultRow[] = [];
  let characters = 0;
  for await (const item of items) {
    rows.push(rowOf(item));
    characters += (item.inputsJson?.length ?? 0) + (item.outputsJson?.length ?? 0);
    if (rows.length < rowsInGroup && characters < charactersInGroup) continue;
    await file.write({ columnData: columnData(rows), rowGroupSize: rows.length });
    yield written();
    rows = [];
    characters = 0;
  }
  if (rows.length > 0) await file.write({ columnData: columnData(rows), rowGroupSize: rows.length });
  await file.finish();
  yield written();
}

function cellOf({ kind, value }: ResultColumn, row: ResultRow): string | bigint | number | boolean | null {
  const found = value(row);
  if (found === undefined || found === null) return null;
  switch (kind) {
    case 'integer':
      return integerOf(found);
    case 'number': {
      const number = Number(textOf(found));
      return Number.isNaN(number) ? null : number;
    }
    case 'truth':
      return typeof found === 'boolean' ? found : null;
    case 'text':
      return typeof found === 'string' ? found : writeJson(found);
  }
}

function integerOf(value: JsonValue): bigint | null {
  const text = textOf(value);
  if (!/^-?[0-9]{1,20}$/.test(text)) return null;
  const integer = BigInt(text);
  return integer > int64Max || integer < -int64Max - 1n ? null : integer;
}

function textOf(value: JsonValue): string {
  return value instanceof JsonNumber ? value.text : String(value);
}
