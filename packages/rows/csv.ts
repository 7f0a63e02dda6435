import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isStorableText } from '@signet/signature/json.ts';
import { CsvError, parse } from 'csv-parse';
import { type BadRow, badRow, brokenFile, rowBytesMax } from './row-fault.ts';

/** The cells of a row by column. */
export type CsvRow = { readonly line: number; readonly cells: ReadonlyMap<string, string> };

const columnsMax = 1000;
// How far the reading of the file may be ahead of its rows.
const pieceBytes = 64 * 1024;

/**
 * Reads comma-separated values (RFC 4180) under a header. Blank lines are passed over; a row with more or fewer cells than the header
 * comes out as a bad row. Throws INVALID_REQUEST with the line where the rest cannot be read: quoting that is broken, a row of more
 * than 1 MiB, bytes that are no UTF-8, a header without names or with one twice.
 */
export async function* readCsv(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<CsvRow | BadRow, void> {
  const lines = new LineCounter();
  const parser = parse({
    bom: true,
    relax_column_count: true,
    max_record_size: rowBytesMax,
    on_record: (record, { bytes }) => [String(lines.passRow(bytes)), ...record],
  });
  const fed = pipeline(Readable.from(watched(chunks, lines)), parser);
  // The parser throws the same where it is read.
  fed.catch(() => {});
  let header: readonly string[] | undefined;
  try {
    for await (const [began, ...record] of parser as AsyncIterable<string[]>) {
      const line = Number(began);
      if (record.length === 1 && record[0]?.trim() === '') continue;
      if (header === undefined) {
        header = readHeader(record, line);
      } else if (record.length === header.length) {
        yield { line, cells: new Map(header.map((name, index) => [name, record[index]!])) };
      } else {
        yield badRow(
          line,
          'ROW_WIDTH',
          `has ${record.length} ${record.length === 1 ? 'cell' : 'cells'} under a header of ${header.length}`,
        );
      }
    }
  } catch (error) {
    if (error instanceof CsvError)
      throw brokenFile(lines.present, error.code.replace(/^(?!CSV_)/, 'CSV_'), describe(error));
    throw error;
  } finally {
    parser.destroy();
  }
}

function readHeader(record: readonly string[], line: number): string[] {
  const names = record.map((name) => name.trim());
  if (names.length > columnsMax) throw brokenFile(line, 'TOO_MANY', `the header has more than ${columnsMax} columns`);
  for (const [index, name] of names.entries()) {
    if (name === '' || name.length > 200 || !isStorableText(name)) {
      throw brokenFile(line, 'COLUMN_NAME', `column ${index + 1} of the header has no name that can be used`);
    }
    if (names.indexOf(name) !== index) {
      throw brokenFile(line, 'COLUMN_TWICE', `the header names column ${index + 1} like another one`);
    }
  }
  return names;
}

// The messages of the parser repeat what it read.
function describe(error: CsvError): string {
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'the row begins a quoted cell that no quote closes';
    case 'CSV_INVALID_CLOSING_QUOTE':
      return 'a quoted cell of the row goes on behind its closing quote; a quote inside one is written twice';
    case 'INVALID_OPENING_QUOTE':
      return 'a cell of the row has a quote inside but is not quoted as a whole';
    case 'CSV_MAX_RECORD_SIZE':
      return `the row has more than ${rowBytesMax} characters; perhaps a quote is not closed`;
    default:
      return 'the row cannot be read';
  }
}

// The parser counts a line break inside quotes twice where it is CRLF, and tells the end of a row, not its beginning.
class LineCounter {
  /** The line on which the next row begins. */
  present = 1;
  /** Where line breaks stand that no row has passed yet, as bytes from the beginning of the file. */
  private readonly breaks: number[] = [];
  private seenBytes = 0;

  see(chunk: Uint8Array): void {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) this.breaks.push(this.seenBytes + at);
    this.seenBytes += chunk.length;
  }

  /** Passes the row that ends before a byte; the line on which it began. */
  passRow(endBytes: number): number {
    const began = this.present;
    const passed = this.breaks.findIndex((at) => at >= endBytes);
    this.present += this.breaks.splice(0, passed < 0 ? this.breaks.length : passed).length;
    return began;
  }

  /** The line behind all that was seen. */
  get all(): number {
    return this.present + this.breaks.length;
  }
}

async function* watched(chunks: AsyncIterable<Uint8Array>, lines: LineCounter): AsyncGenerator<Uint8Array, void> {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  const check = (chunk?: Uint8Array): void => {
    try {
      utf8.decode(chunk, { stream: chunk !== undefined });
    } catch {
      const line = lines.all + (chunk === undefined ? 0 : firstBadLine(chunk));
      throw brokenFile(line, 'TEXT_INVALID', 'is not UTF-8 text');
    }
  };
  for await (const chunk of chunks) {
    for (let from = 0; from < chunk.length; from += pieceBytes) {
      const piece = chunk.subarray(from, from + pieceBytes);
      check(piece);
      lines.see(piece);
      yield piece;
    }
  }
  check();
}

// Of a piece that is known to be bad: how many lines it holds before the bad one. The first is it if no other is.
function firstBadLine(chunk: Uint8Array): number {
  let from = chunk.indexOf(10) + 1;
  for (let line = 1; from > 0; line++) {
    const end = chunk.indexOf(10, from) + 1;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(chunk.subarray(from, end || chunk.length), { stream: true });
    } catch {
      return line;
    }
    from = end;
  }
  return 0;
}
