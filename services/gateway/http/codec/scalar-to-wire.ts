import { type DescEnum, type DescField, ScalarType } from '@bufbuild/protobuf';
import { type BinaryWriter, base64Decode, WireType } from '@bufbuild/protobuf/wire';
import { describeJson, isStorableText, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { enumNumbers, shortNames } from './enum-name.ts';
import type { Faults } from './faults.ts';

/** Writes one value without its tag; records a fault and writes a zero where it does not fit. */
export type ValueWriter = (value: JsonValue, writer: BinaryWriter, faults: Faults) => void;

/** How a value is written and with which wire type. */
export type ScalarCodec = { readonly wireType: WireType; readonly write: ValueWriter };

const wireTypes: Readonly<Partial<Record<ScalarType, WireType>>> = {
  [ScalarType.DOUBLE]: WireType.Bit64,
  [ScalarType.FIXED64]: WireType.Bit64,
  [ScalarType.SFIXED64]: WireType.Bit64,
  [ScalarType.FLOAT]: WireType.Bit32,
  [ScalarType.FIXED32]: WireType.Bit32,
  [ScalarType.SFIXED32]: WireType.Bit32,
  [ScalarType.STRING]: WireType.LengthDelimited,
  [ScalarType.BYTES]: WireType.LengthDelimited,
};

/** The wire type of a scalar. */
export function wireTypeOf(type: ScalarType): WireType {
  return wireTypes[type] ?? WireType.Varint;
}

/** How a scalar or an enum field's values are written, by proto3's JSON mapping. */
export function scalarCodec(type: ScalarType): ScalarCodec {
  return { wireType: wireTypeOf(type), write: scalarWriter(type) };
}

/** How an enum's values are written: full name, short lower-case name, synonym or number. */
export function enumCodec(desc: DescEnum): ScalarCodec {
  const numbers = enumNumbers(desc);
  const known = new Set(desc.values.map((value) => value.number));
  const write: ValueWriter = (value, writer, faults) => {
    let found: number | undefined;
    if (typeof value === 'string') found = numbers.get(value.toLowerCase());
    else if (value instanceof JsonNumber && known.has(value.toNumber())) found = value.toNumber();
    if (found === undefined) faults.add('VALUE_UNKNOWN', `must be one of ${shortNames(desc).join(', ')}`);
    writer.int32(found ?? 0);
  };
  return { wireType: WireType.Varint, write };
}

function scalarWriter(type: ScalarType): ValueWriter {
  switch (type) {
    case ScalarType.STRING:
      return (value, writer, faults) => {
        if (typeof value !== 'string') mismatch(faults, 'a string', value);
        else if (!isStorableText(value)) faults.add('TEXT_INVALID', 'must not hold \\u0000 or lone surrogates');
        else writer.string(value);
      };
    case ScalarType.BOOL:
      return (value, writer, faults) => {
        if (typeof value !== 'boolean') faults.add('TYPE_MISMATCH', 'must be true or false');
        writer.bool(value === true);
      };
    case ScalarType.BYTES:
      return (value, writer, faults) => {
        if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value))
          mismatch(faults, 'base64 text', value);
        else writer.bytes(base64Decode(value.replaceAll('-', '+').replaceAll('_', '/')));
      };
    case ScalarType.DOUBLE:
      return (value, writer, faults) => writer.double(readDouble(value, faults));
    case ScalarType.FLOAT:
      return (value, writer, faults) => writer.float(readDouble(value, faults));
    default:
      return integerWriter(type);
  }
}

function integerWriter(type: ScalarType): ValueWriter {
  const int32 = (value: JsonValue, faults: Faults) => Number(readInteger(value, -2147483648n, 2147483647n, faults));
  const uint32 = (value: JsonValue, faults: Faults) => Number(readInteger(value, 0n, 4294967295n, faults));
  const int64 = (value: JsonValue, faults: Faults) => readInteger(value, -(1n << 63n), (1n << 63n) - 1n, faults);
  const uint64 = (value: JsonValue, faults: Faults) => readInteger(value, 0n, (1n << 64n) - 1n, faults);
  switch (type) {
    case ScalarType.INT32:
      return (value, writer, faults) => writer.int32(int32(value, faults));
    case ScalarType.SINT32:
      return (value, writer, faults) => writer.sint32(int32(value, faults));
    case ScalarType.SFIXED32:
      return (value, writer, faults) => writer.sfixed32(int32(value, faults));
    case ScalarType.UINT32:
      return (value, writer, faults) => writer.uint32(uint32(value, faults));
    case ScalarType.FIXED32:
      return (value, writer, faults) => writer.fixed32(uint32(value, faults));
    case ScalarType.INT64:
      return (value, writer, faults) => writer.int64(int64(value, faults));
    case ScalarType.SINT64:
      return (value, writer, faults) => writer.sint64(int64(value, faults));
    case ScalarType.SFIXED64:
      return (value, writer, faults) => writer.sfixed64(int64(value, faults));
    case ScalarType.UINT64:
      return (value, writer, faults) => writer.uint64(uint64(value, faults));
    default:
      return (value, writer, faults) => writer.fixed64(uint64(value, faults));
  }
}

// proto3's JSON takes integers as numbers (1, 1.0, 1e2) and as text of the same.
function readInteger(value: JsonValue, min: bigint, max: bigint, faults: Faults): bigint {
  const text = value instanceof JsonNumber ? value.text : typeof value === 'string' ? value : undefined;
  let found: bigint | undefined;
  if (text !== undefined && /^-?[0-9]{1,20}$/.test(text)) found = BigInt(text);
  else if (text !== undefined && /^-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?$/.test(text)) {
    const number = Number(text);
    if (Number.isSafeInteger(number)) found = BigInt(number);
  }
  if (found === undefined) {
    if (value instanceof JsonNumber && /^-?[0-9]+$/.test(value.text)) outOfRange(faults, min, max);
    else mismatch(faults, 'an integer', value);
    return 0n;
  }
  if (found < min || found > max) {
    outOfRange(faults, min, max);
    return 0n;
  }
  return found;
}

function readDouble(value: JsonValue, faults: Faults): number {
  if (value instanceof JsonNumber) return value.toNumber();
  if (typeof value === 'string' && /^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(value)) {
    const number = Number(value);
    if (Number.isFinite(number)) return number;
  }
  mismatch(faults, 'a finite number', value);
  return 0;
}

function outOfRange(faults: Faults, min: bigint, max: bigint): void {
  faults.add('OUT_OF_RANGE', `must lie between ${min} and ${max}`);
}

/** Records that a value is of another type. */
export function mismatch(faults: Faults, wanted: string, value: JsonValue): void {
  // Queries hold nothing but text, and numbers are taken as text too: that it is one is not what is wrong.
  const given = typeof value === 'string' ? '' : `, not ${describeJson(value)}`;
  faults.add('TYPE_MISMATCH', `must be ${wanted}${given}`);
}

/** The scalar of a field that is or holds scalars. */
export function scalarOf(field: DescField): ScalarType {
  return field.enum === undefined ? (field.scalar ?? ScalarType.STRING) : ScalarType.INT32;
}
