import { describeJson, isObject, JsonError, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { type BadRow, badRow, rowBytesMax } from './row-fault.ts';

/** An object of a line. */
export type JsonRow = { readonly line: number; readonly object: JsonObject };

const newline = 10;

/**
 * Reads lines of JSON objects. Blank lines are passed over; a line that is no object, no UTF-8 or longer than 1 MiB comes out as a bad
 * row, and reading goes on behind it.
 */
export async function* readNdjson(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<JsonRow | BadRow, void> {
  const pending: Uint8Array[] = [];
  let pendingBytes = 0;
  let line = 1;
  const take = (): JsonRow | BadRow | undefined => {
    const bytes = pendingBytes > rowBytesMax ? undefined : Buffer.concat(pending, pendingBytes);
    pending.length = 0;
    pendingBytes = 0;
    if (bytes === undefined) return badRow(line, 'TOO_LONG', `the line has more than ${rowBytesMax} bytes`);
    return readLine(bytes, line);
  };
  const keep = (bytes: Uint8Array): void => {
    pendingBytes += bytes.length;
    // A line that is too long is only counted.
    if (pendingBytes <= rowBytesMax) pending.push(bytes);
    else pending.length = 0;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      keep(chunk.subarray(from, at));
      const row = take();
      if (row !== undefined) yield row;
      line++;
      from = at + 1;
    }
    if (from < chunk.length) keep(chunk.subarray(from));
  }
  const last = take();
  if (last !== undefined) yield last;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function readLine(bytes: Uint8Array, line: number): JsonRow | BadRow | undefined {
  try {
    const text = utf8.decode(bytes);
    if (text.trim() === '') return undefined;
    const value = parseJson(text);
    if (isObject(value)) return { line, object: value };
    return badRow(line, 'TYPE_MISMATCH', `expected an object, got ${describeJson(value)}`);
  } catch (error) {
    if (!(error instanceof JsonError)) return badRow(line, 'TEXT_INVALID', 'is not UTF-8 text');
    return badRow(line, error.reason, error.message.replace(/^line \d+, column \d+: /, ''), error.column);
  }
}
