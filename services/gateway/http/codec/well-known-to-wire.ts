import { type BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  findUnstorableText,
  isArray,
  isObject,
  isStorableText,
  JsonNumber,
  type JsonValue,
} from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Faults } from './faults.ts';
import { mismatch, type ValueWriter } from './scalar-to-wire.ts';

/** The messages whose JSON is not an object of their fields; each writes the message's bytes without tag and length. */
export const wellKnownWriters: Readonly<Record<string, ValueWriter>> = {
  'signet.v1.Payload': writePayload,
  'google.protobuf.Struct': (value, writer, faults) =>
    isObject(value) ? writeStruct(value, writer, faults) : mismatch(faults, 'an object', value),
  'google.protobuf.Value': writeValue,
  'google.protobuf.ListValue': (value, writer, faults) =>
    isArray(value) ? writeList(value, writer, faults) : mismatch(faults, 'a list', value),
  'google.protobuf.Timestamp': writeTimestamp,
  'google.protobuf.Duration': writeDuration,
  'google.protobuf.FieldMask': writeFieldMask,
};

function writePayload(value: JsonValue, writer: BinaryWriter, faults: Faults): void {
  if (!isObject(value)) {
    mismatch(faults, 'an object', value);
    return;
  }
  const text = writeJson(value);
  // `\u0000` and lone surrogates come out escaped, so without a backslash there is none.
  if (text.includes('\\u')) {
    const found = findUnstorableText(value, faults.path());
    if (found !== undefined) faults.addAt(found, 'TEXT_INVALID', 'must not hold \\u0000 or lone surrogates');
  }
  writer.tag(2, WireType.LengthDelimited).string(text);
}

function writeStruct(value: ReadonlyMap<string, JsonValue>, writer: BinaryWriter, faults: Faults): void {
  for (const [key, member] of value) {
    faults.enter(key);
    if (!isStorableText(key)) faults.add('TEXT_INVALID', 'must not hold \\u0000 or lone surrogates');
    // The services hold such objects by their keys, where this one would be lost without a word.
    else if (key === '__proto__') faults.add('KEY_RESERVED', 'cannot be a key here');
    else {
      writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(key);
      writer.tag(2, WireType.LengthDelimited).fork();
      writeValue(member, writer, faults);
      writer.join().join();
    }
    faults.leave();
  }
}

function writeList(value: readonly JsonValue[], writer: BinaryWriter, faults: Faults): void {
  value.forEach((item, index) => {
    faults.enter(index);
    writer.tag(1, WireType.LengthDelimited).fork();
    writeValue(item, writer, faults);
    writer.join();
    faults.leave();
  });
}

function writeValue(value: JsonValue, writer: BinaryWriter, faults: Faults): void {
  if (value === null) writer.tag(1, WireType.Varint).int32(0);
  else if (typeof value === 'boolean') writer.tag(4, WireType.Varint).bool(value);
  else if (value instanceof JsonNumber) writer.tag(2, WireType.Bit64).double(value.toNumber());
  else if (typeof value === 'string') {
    if (isStorableText(value)) writer.tag(3, WireType.LengthDelimited).string(value);
    else faults.add('TEXT_INVALID', 'must not hold \\u0000 or lone surrogates');
  } else if (isArray(value)) {
    writer.tag(6, WireType.LengthDelimited).fork();
    writeList(value, writer, faults);
    writer.join();
  } else {
    writer.tag(5, WireType.LengthDelimited).fork();
    writeStruct(value, writer, faults);
    writer.join();
  }
}

const timestampForm = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/;

function writeTimestamp(value: JsonValue, writer: BinaryWriter, faults: Faults): void {
  const match = typeof value === 'string' ? timestampForm.exec(value) : null;
  const ms = match === null ? Number.NaN : Date.parse((value as string).replace(/\.\d+/, '').toUpperCase());
  // Date.parse takes 30 February for 2 March.
  const rolled =
    match !== null && new Date(Date.UTC(+match[1]!, +match[2]! - 1, +match[3]!)).getUTCDate() !== +match[3]!;
  if (match === null || Number.isNaN(ms) || rolled || match[1] === '0000') {
    faults.add('TYPE_MISMATCH', 'must be a time such as 2026-01-31T12:00:00Z');
    return;
  }
  writer.tag(1, WireType.Varint).int64(BigInt(Math.floor(ms / 1000)));
  const nanos = Number((match[7] ?? '').padEnd(9, '0'));
  if (nanos !== 0) writer.tag(2, WireType.Varint).int32(nanos);
}

function writeDuration(value: JsonValue, writer: BinaryWriter, faults: Faults): void {
  const match = typeof value === 'string' ? /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(value) : null;
  if (match === null || Number(match[2]) > 315_576_000_000) {
    faults.add('TYPE_MISMATCH', 'must be a duration such as 1.5s');
    return;
  }
  const sign = match[1] === '-' ? -1 : 1;
  writer.tag(1, WireType.Varint).int64(BigInt(sign) * BigInt(match[2]!));
  const nanos = sign * Number((match[3] ?? '').padEnd(9, '0'));
  if (nanos !== 0) writer.tag(2, WireType.Varint).int32(nanos);
}

function writeFieldMask(value: JsonValue, writer: BinaryWriter, faults: Faults): void {
  const paths = typeof value === 'string' ? (value === '' ? [] : value.split(',')) : undefined;
  if (paths === undefined || !paths.every((path) => /^[A-Za-z][A-Za-z0-9_.]*$/.test(path))) {
    faults.add('TYPE_MISMATCH', 'must be names of fields with commas between, such as name,labels');
    return;
  }
  for (const path of paths) writer.tag(1, WireType.LengthDelimited).string(snakeCase(path));
}

/** `signatureSpec` as the proto writes it: `signature_spec`. */
export function snakeCase(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
