import { isUtf8 } from 'node:buffer';
import type { DescField, DescMethod } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { AppError } from '@signet/kit/error/app-error.ts';
import { JsonError, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { type BodyLine, linesOf } from './body-lines.ts';
import { Faults } from './codec/faults.ts';
import { messageWriter } from './codec/json-to-wire.ts';

/** The most bytes of a raw body that go into one request. */
const chunkMaxBytes = 65_536;

/**
 * The requests that a streamed body makes: one a line of JSON where the body's field is a message, one a piece of at most 64 KiB where
 * it is bytes. Throws INVALID_REQUEST with the line and what is wrong with it, and PAYLOAD_TOO_LARGE for a line of more than 4 MiB.
 */
export async function* requestsInBody(
  method: DescMethod,
  field: DescField,
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void> {
  if (field.fieldKind === 'message') {
    for await (const line of linesOf(chunks)) yield requestOfLine(method, field, line);
    return;
  }
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; start += chunkMaxBytes) {
      const out = new BinaryWriter();
      out.tag(field.number, WireType.LengthDelimited).bytes(chunk.subarray(start, start + chunkMaxBytes));
      yield asBuffer(out.finish());
    }
  }
}

function requestOfLine(method: DescMethod, field: DescField, line: BodyLine): Buffer {
  const value = readLine(line);
  const faults = new Faults();
  const out = new BinaryWriter();
  // Paths begin within the line: its writer knows nothing of the field that it fills.
  messageWriter(method.input).fields.get(field.name)!.write(value, out, faults);
  const [first] = faults.violations;
  if (first === undefined) return asBuffer(out.finish());
  const at = first.field === '' ? '' : `${first.field}: `;
  throw new AppError('INVALID_REQUEST', `Line ${line.number}: ${at}${first.description}`, {
    fieldViolations: faults.violations,
    metadata: { line: String(line.number), field: first.field },
  });
}

function readLine({ number, bytes }: BodyLine): JsonValue {
  const refused = (description: string, reason: string, column?: number) =>
    new AppError('INVALID_REQUEST', `Line ${number} cannot be read: ${description}`, {
      metadata: { line: String(number), ...(column === undefined ? {} : { column: String(column) }) },
      fieldViolations: [{ field: 'body', reason, description }],
    });
  if (!isUtf8(bytes)) throw refused('is not UTF-8', 'TEXT_INVALID');
  try {
    return parseJson(bytes.toString('utf8'));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw refused(error.message, error.reason, error.column);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
