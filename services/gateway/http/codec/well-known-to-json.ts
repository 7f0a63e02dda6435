import type { BinaryReader } from '@bufbuild/protobuf/wire';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { fromRpcStatus } from '@signet/kit/grpc/status.ts';
import { Any } from '@signet/proto/gen/google/protobuf/any.ts';
import type { Status } from '@signet/proto/gen/google/rpc/status.ts';
import { problemOf } from '../problem.ts';

/** Reads one message's bytes, up to `end`, as JSON text. */
export type JsonReader = (reader: BinaryReader, end: number) => string;

/** The messages whose JSON is not an object of their fields. */
export const wellKnownReaders: Readonly<Record<string, JsonReader>> = {
  'signet.v1.Payload': readPayload,
  'google.protobuf.Struct': readStruct,
  'google.protobuf.Value': readValue,
  'google.protobuf.ListValue': readList,
  'google.protobuf.Timestamp': readTimestamp,
  'google.protobuf.Duration': readDuration,
  'google.protobuf.FieldMask': readFieldMask,
  'google.rpc.Status': readStatus,
};

// The JSON text is our own service's and is passed on as it is, so that every digit stays.
function readPayload(reader: BinaryReader, end: number): string {
  let text = '{}';
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 2) text = utf8(reader.bytes()) || '{}';
    else if (field === 1) text = nested(reader, readStruct);
    else reader.skip(wireType, field);
  }
  return text;
}

function readStruct(reader: BinaryReader, end: number): string {
  let text = '';
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) text += `${text === '' ? '' : ','}${nested(reader, readEntry)}`;
    else reader.skip(wireType, field);
  }
  return `{${text}}`;
}

function readEntry(reader: BinaryReader, end: number): string {
  let key = '';
  let value = 'null';
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) key = reader.string();
    else if (field === 2) value = nested(reader, readValue);
    else reader.skip(wireType, field);
  }
  return `${JSON.stringify(key)}:${value}`;
}

function readValue(reader: BinaryReader, end: number): string {
  let text = 'null';
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 2) text = doubleText(reader.double());
    else if (field === 3) text = JSON.stringify(reader.string());
    else if (field === 4) text = String(reader.bool());
    else if (field === 5) text = nested(reader, readStruct);
    else if (field === 6) text = nested(reader, readList);
    else reader.skip(wireType, field);
  }
  return text;
}

function readList(reader: BinaryReader, end: number): string {
  let text = '';
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) text += `${text === '' ? '' : ','}${nested(reader, readValue)}`;
    else reader.skip(wireType, field);
  }
  return `[${text}]`;
}

function readTimestamp(reader: BinaryReader, end: number): string {
  const { seconds, nanos } = readSeconds(reader, end);
  const iso = new Date(Number(seconds) * 1000).toISOString();
  return `"${iso.slice(0, 19)}${fraction(nanos)}Z"`;
}

function readDuration(reader: BinaryReader, end: number): string {
  const { seconds, nanos } = readSeconds(reader, end);
  const sign = seconds < 0n || nanos < 0 ? '-' : '';
  return `"${sign}${seconds < 0n ? -seconds : seconds}${fraction(Math.abs(nanos))}s"`;
}

function readSeconds(reader: BinaryReader, end: number): { seconds: bigint; nanos: number } {
  let seconds = 0n;
  let nanos = 0;
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) seconds = BigInt(reader.int64());
    else if (field === 2) nanos = reader.int32();
    else reader.skip(wireType, field);
  }
  return { seconds, nanos };
}

// None, three, six or nine digits, as proto3's JSON mapping wants.
function fraction(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  if (digits.endsWith('000000')) return `.${digits.slice(0, 3)}`;
  return digits.endsWith('000') ? `.${digits.slice(0, 6)}` : `.${digits}`;
}

function readFieldMask(reader: BinaryReader, end: number): string {
  const paths: string[] = [];
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) paths.push(reader.string().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()));
    else reader.skip(wireType, field);
  }
  return JSON.stringify(paths.join(','));
}

// An error inside an event is shown as every other error.
function readStatus(reader: BinaryReader, end: number): string {
  const status: Status = { code: 0, message: '', details: [] };
  while (reader.pos < end) {
    const [field, wireType] = reader.tag();
    if (field === 1) status.code = reader.int32();
    else if (field === 2) status.message = reader.string();
    else if (field === 3) status.details.push(Any.decode(reader.bytes()));
    else reader.skip(wireType, field);
  }
  return JSON.stringify(problemOf(fromRpcStatus(status) ?? normalizeError(new Error(status.message))));
}

/** Reads a length and the message behind it. */
export function nested(reader: BinaryReader, read: JsonReader): string {
  const length = reader.uint32();
  return read(reader, reader.pos + length);
}

/** A double as proto3's JSON mapping writes it. */
export function doubleText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value);
  return Number.isNaN(value) ? '"NaN"' : value > 0 ? '"Infinity"' : '"-Infinity"';
}

/** Reads bytes as UTF-8 text. */
export function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
