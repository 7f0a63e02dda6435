import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCell, writeCell } from './cell.ts';
import { readCsv } from './csv.ts';
import { readNdjson } from './ndjson.ts';
import { rowBytesMax } from './row-fault.ts';

async function* cut(text: string | Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const all = async <T>(rows: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
};
const objects = async (text: string | Uint8Array, size?: number) =>
  (await all(readNdjson(cut(text, size)))).map((row) =>
    'object' in row ? [row.line, writeJson(row.object)] : [row.line, row.fault.reason, row.fault.column],
  );
const cells = async (text: string | Uint8Array, size?: number) =>
  (await all(readCsv(cut(text, size)))).map((row) =>
    'cells' in row ? [row.line, Object.fromEntries(row.cells)] : [row.line, row.fault.reason],
  );
const broken = async (text: string | Uint8Array) => {
  const error = await cells(text).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  const { reason, metadata, fieldViolations } = error as AppError;
  expect(reason).toBe('INVALID_REQUEST');
  return [metadata.line, fieldViolations[0]?.reason];
};

describe('readNdjson', () => {
  it('reads objects with their lines, whatever the size of the chunks', async () => {
    const text = '{"a":1}\r\n\n  \n{"ä":"ö\\n","n":12345678901234567890.10}\n{"b":[]}';
    const expected = [
      [1, '{"a":1}'],
      [4, '{"ä":"ö\\n","n":12345678901234567890.10}'],
      [5, '{"b":[]}'],
    ];
    for (const size of [1, 2, 3, 5, 1000]) expect(await objects(text, size)).toEqual(expected);
  });

  it('goes on behind lines that cannot be read and says where they are wrong', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"a":1}\n{"a":}\n[1]\n{"a":1,"a":2}\n"'),
      Buffer.from([0xff, 0x0a, 0x7b]),
    ]);
    expect(await objects(Buffer.concat([bytes, Buffer.from('}')]))).toEqual([
      [1, '{"a":1}'],
      [2, 'JSON_SYNTAX', 6],
      [3, 'TYPE_MISMATCH', 0],
      [4, 'JSON_DUPLICATE_KEY', 8],
      [5, 'TEXT_INVALID', 0],
      [6, '{}'],
    ]);
  });

  it('keeps no more than a line that is too long, and reads on', async () => {
    const text = `{"a":"${'x'.repeat(rowBytesMax)}"}\n{"b":1}\n`;
    expect(await objects(text, 65_536)).toEqual([
      [1, 'TOO_LONG', 0],
      [2, '{"b":1}'],
    ]);
  });

  it('finds nothing in nothing', async () => {
    expect(await objects('')).toEqual([]);
    expect(await objects('\n\n')).toEqual([]);
  });
});

describe('readCsv', () => {
  it('reads cells with the line on which their row begins, quoted line breaks of every kind included', async () => {
    const text = '\ufeffa,b\r\n1,"x\r\ny ""z"""\r\n\r\n"2\n\n",\n3,ü';
    const expected = [
      [2, { a: '1', b: 'x\r\ny "z"' }],
      [5, { a: '2\n\n', b: '' }],
      [8, { a: '3', b: 'ü' }],
    ];
    const unix = text.replaceAll('\r\n', '\n').replace('x\ny', 'x\r\ny');
    for (const size of [1, 2, 3, 7, 1000]) expect(await cells(unix, size)).toEqual(expected);
  });

  it('goes on behind rows of another width', async () => {
    expect(await cells('a,b\n1\n1,2,3\n1,2\n')).toEqual([
      [2, 'ROW_WIDTH'],
      [3, 'ROW_WIDTH'],
      [4, { a: '1', b: '2' }],
    ]);
  });

  it.each([
    ['a quote that is not closed', 'a,b\n1,2\n3,"4\n5,6\n', '3', 'CSV_QUOTE_NOT_CLOSED'],
    ['text behind a closing quote', 'a,b\n1,2\n\n"3" ,4\n', '4', 'CSV_INVALID_CLOSING_QUOTE'],
    ['a quote in the midst', 'a,b\n1,2"3\n', '2', 'CSV_INVALID_OPENING_QUOTE'],
    ['a quote that swallows the rest', `a\n1\n"${'x\n'.repeat(rowBytesMax)}`, '3', 'CSV_MAX_RECORD_SIZE'],
    ['a header with a name twice', 'a,b, a\n', '1', 'COLUMN_TWICE'],
    ['a header without a name', 'a,,b\n', '1', 'COLUMN_NAME'],
    ['a header with a name that cannot be kept', 'a,\u0000\n', '1', 'COLUMN_NAME'],
  ])('ends at %s with its line', async (_what, text, line, reason) => {
    expect(await broken(text)).toEqual([line, reason]);
  });

  it('ends at bytes that are no UTF-8 text', async () => {
    expect(await broken(Buffer.concat([Buffer.from('a\n1\n'), Buffer.from([0xc3, 0x28])]))).toEqual([
      '3',
      'TEXT_INVALID',
    ]);
    expect(await broken(Buffer.concat([Buffer.from('a\n1\n'), Buffer.from([0xc3])]))).toEqual(['3', 'TEXT_INVALID']);
  });

  it('gives every table back that was written by the rules', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', 'é', ' ', '😀') });
    const table = fc.array(fc.tuple(fc.constant('x'), cell), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 9 }), async (rows, size) => {
        const quoted = rows.map((row) => row.map((one) => `"${one.replaceAll('"', '""')}"`).join(','));
        const found = await cells(`k,v\n${quoted.join('\n')}`, size);
        expect(found.map((row) => row[1])).toEqual(rows.map(([k, v]) => ({ k, v })));
        const starts = rows.map(
          (_row, index) => 2 + quoted.slice(0, index).join('\n').split('\n').length - (index === 0 ? 1 : 0),
        );
        expect(found.map((row) => row[0])).toEqual(starts);
      }),
      { numRuns: 50 },
    );
  });

  it('stops reading the file when nobody wants more of it', async () => {
    let given = 0;
    let isLeft = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (yield Buffer.from('a\n'); ; given++) yield Buffer.from(`${given}\n`.repeat(1000));
      } finally {
        isLeft = true;
      }
    }
    for await (const row of readCsv(endless())) {
      expect(row.line).toBe(2);
      break;
    }
    await expect.poll(() => isLeft).toBe(true);
    expect(given).toBeLessThan(200);
  });
});

describe('readCell', () => {
  const field = (type: string) => parseSpec(`x: ${type} -> y`).inputs[0]!;
  it.each([
    ['str', '007', '"007"'],
    ['str', '', '""'],
    ['str | None', '', undefined],
    ['int', '7', '7'],
    ['int', '', undefined],
    ['float', '1e3', '1e3'],
    ['bool', 'Yes', 'true'],
    ['bool', '0', 'false'],
    ['list[int]', '[1, 2]', '[1,2]'],
    ['dict', '{"a": 1.50}', '{"a":1.50}'],
    ["Literal['a', 'b']", 'a', '"a"'],
    ['Literal[1, 2]', '2', '2'],
    ['Any', '5', '5'],
    ['Any', 'five', '"five"'],
    ['int | str', 'five', '"five"'],
    ['int | None', '5', '5'],
  ])('reads a cell of `%s`: %j', (type, text, expected) => {
    const reading = readCell(field(type), text);
    expect('value' in reading).toBe(true);
    if ('value' in reading) expect(reading.value === undefined ? undefined : writeJson(reading.value)).toBe(expected);
  });

  it.each([
    ['int', 'seven'],
    ['int', '07'],
    ['float', 'NaN'],
    ['bool', 'maybe'],
    ['list[int]', '1, 2'],
    ['dict', '{"a":1,"a":2}'],
  ])('says why a cell is no `%s`: %j', (type, text) => {
    expect(readCell(field(type), text)).toHaveProperty('problem');
  });

  it('reads back what writeCell wrote', () => {
    const values = parseJson('["a", "5", "true", "[1]", 5, 1.50, true, [1, "x"], {"a": null}]') as readonly never[];
    for (const value of values) {
      const reading = readCell(field('Any'), writeCell(field('Any'), value));
      expect(reading).toHaveProperty('value');
      expect(writeJson((reading as { value: JsonObject }).value)).toBe(writeJson(value));
    }
  });
});
