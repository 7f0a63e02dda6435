import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { scalarOf, wireTypeOf } from './scalar-to-wire.ts';
import { doubleText, type JsonReader, nested, wellKnownReaders } from './well-known-to-json.ts';

/** A message's JSON text with what the HTTP door needs to know of it besides. */
export type MessageText = {
  readonly json: string;
  /** The `etag` field as JSON text, quotes included; undefined if the message has none or an empty one. */
  readonly etag: string | undefined;
};

/** One field of a message with what to do for it. */
type FieldReader = {
  /** `"name":`. */
  readonly label: string;
  readonly slot: number;
  readonly kind: 'one' | 'list' | 'map';
  /** Reads one value, or a map's entry as `key:value`. */
  readonly read: (reader: BinaryReader) => string;
  /** Scalars may come packed. */
  readonly packed: boolean;
};

/** How the bytes of one message become JSON text. Made once per message and kept. */
type MessageReader = {
  readonly desc: DescMessage;
  readonly byNumber: ReadonlyMap<number, FieldReader>;
  readonly bySlot: FieldReader[];
  /** What stands in a slot when the bytes say nothing: proto3's default, or nothing where absence has a meaning. */
  readonly defaults: (string | undefined)[];
  readonly etagSlot: number;
};

const cache = new WeakMap<DescMessage, MessageReader>();

/** Reads a message as JSON text: lowerCamelCase, defaults written out, absent messages and optionals left out. */
export function messageToJson(desc: DescMessage, bytes: Uint8Array): MessageText {
  const wellKnown = wellKnownReaders[desc.typeName];
  const reader = new BinaryReader(bytes);
  if (wellKnown !== undefined) return { json: wellKnown(reader, bytes.length), etag: undefined };
  const shape = messageReader(desc);
  const slots = readSlots(shape, reader, bytes.length);
  const etag = shape.etagSlot < 0 ? undefined : slots[shape.etagSlot];
  return { json: joinSlots(shape, slots), etag: etag === '""' ? undefined : etag };
}

/** The last value of a oneof's member and of some scalar fields, read without the rest. */
export function messageReader(desc: DescMessage): MessageReader {
  let made = cache.get(desc);
  if (made === undefined) {
    const byNumber = new Map<number, FieldReader>();
    made = { desc, byNumber, bySlot: [], defaults: [], etagSlot: desc.fields.findIndex(isEtag) };
    cache.set(desc, made);
    desc.fields.forEach((field, slot) => {
      const entry = fieldReader(field, slot);
      byNumber.set(field.number, entry);
      made!.bySlot.push(entry);
      made!.defaults.push(defaultOf(field));
    });
  }
  return made;
}

/** Reads the fields of a message, each as JSON text, by their order in the proto. */
export function readSlots(shape: MessageReader, reader: BinaryReader, end: number): (string | undefined)[] {
  const slots = shape.defaults.slice();
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const field = shape.byNumber.get(number);
    if (field === undefined) reader.skip(wireType, number);
    else if (field.kind === 'one') slots[field.slot] = field.read(reader);
    else if (field.packed && wireType === WireType.LengthDelimited) {
      const length = reader.uint32();
      for (const stop = reader.pos + length; reader.pos < stop; ) append(slots, field, field.read(reader));
    } else append(slots, field, field.read(reader));
  }
  return slots;
}

function append(slots: (string | undefined)[], field: FieldReader, text: string): void {
  const before = slots[field.slot];
  slots[field.slot] = before === '' || before === undefined ? text : `${before},${text}`;
}

function joinSlots(shape: MessageReader, slots: readonly (string | undefined)[]): string {
  let text = '';
  for (let slot = 0; slot < slots.length; slot++) {
    const value = slots[slot];
    if (value === undefined) continue;
    const { label, kind } = shape.bySlot[slot]!;
    text += text === '' ? label : `,${label}`;
    text += kind === 'one' ? value : kind === 'list' ? `[${value}]` : `{${value}}`;
  }
  return `{${text}}`;
}

function fieldReader(field: DescField, slot: number): FieldReader {
  const label = `${JSON.stringify(field.jsonName)}:`;
  switch (field.fieldKind) {
    case 'message':
      return { label, slot, kind: 'one', read: messageValue(field.message), packed: false };
    case 'map':
      return { label, slot, kind: 'map', read: mapEntry(field), packed: false };
    case 'list': {
      const read =
        field.listKind === 'message'
          ? messageValue(field.message)
          : field.listKind === 'enum'
            ? enumValue(field.enum)
            : scalarValue(field.scalar);
      const packed = field.listKind !== 'message' && wireTypeOf(scalarOf(field)) !== WireType.LengthDelimited;
      return { label, slot, kind: 'list', read, packed };
    }
    case 'enum':
      return { label, slot, kind: 'one', read: enumValue(field.enum), packed: false };
    case 'scalar':
      return { label, slot, kind: 'one', read: scalarValue(field.scalar), packed: false };
  }
}

function messageValue(desc: DescMessage): (reader: BinaryReader) => string {
  const wellKnown = wellKnownReaders[desc.typeName];
  if (wellKnown !== undefined) return (reader) => nested(reader, wellKnown);
  const read: JsonReader = (reader, end) => {
    const shape = messageReader(desc);
    return joinSlots(shape, readSlots(shape, reader, end));
  };
  return (reader) => nested(reader, read);
}

function mapEntry(field: DescField & { fieldKind: 'map' }): (reader: BinaryReader) => string {
  const readKey = scalarValue(field.mapKey);
  const readValue =
    field.mapKind === 'message'
      ? messageValue(field.message)
      : field.mapKind === 'enum'
        ? enumValue(field.enum)
        : scalarValue(field.scalar);
  const emptyValue = field.mapKind === 'scalar' ? zeroOf(field.scalar) : '{}';
  const read: JsonReader = (reader, end) => {
    let key = zeroOf(field.mapKey);
    let value = emptyValue;
    while (reader.pos < end) {
      const [number, wireType] = reader.tag();
      if (number === 1) key = readKey(reader);
      else if (number === 2) value = readValue(reader);
      else reader.skip(wireType, number);
    }
    return `${key.startsWith('"') ? key : `"${key}"`}:${value}`;
  };
  return (reader) => nested(reader, read);
}

function enumValue(desc: { readonly value: Readonly<Record<number, { readonly name: string }>> }) {
  return (reader: BinaryReader): string => {
    const number = reader.int32();
    const known = desc.value[number];
    return known === undefined ? String(number) : `"${known.name}"`;
  };
}

function scalarValue(type: ScalarType): (reader: BinaryReader) => string {
  switch (type) {
    case ScalarType.STRING:
      return (reader) => JSON.stringify(reader.string());
    case ScalarType.BOOL:
      return (reader) => String(reader.bool());
    case ScalarType.BYTES:
      return (reader) => `"${Buffer.from(reader.bytes()).toString('base64')}"`;
    case ScalarType.DOUBLE:
      return (reader) => doubleText(reader.double());
    case ScalarType.FLOAT:
      return (reader) => doubleText(Number(reader.float().toPrecision(9)));
    case ScalarType.INT32:
      return (reader) => String(reader.int32());
    case ScalarType.UINT32:
      return (reader) => String(reader.uint32());
    case ScalarType.SINT32:
      return (reader) => String(reader.sint32());
    case ScalarType.FIXED32:
      return (reader) => String(reader.fixed32());
    case ScalarType.SFIXED32:
      return (reader) => String(reader.sfixed32());
    case ScalarType.INT64:
      return (reader) => `"${reader.int64()}"`;
    case ScalarType.UINT64:
      return (reader) => `"${reader.uint64()}"`;
    case ScalarType.SINT64:
      return (reader) => `"${reader.sint64()}"`;
    case ScalarType.FIXED64:
      return (reader) => `"${reader.fixed64()}"`;
    case ScalarType.SFIXED64:
      return (reader) => `"${reader.sfixed64()}"`;
  }
}

// `optional`, messages and members of a oneof have no default: their absence says something.
function defaultOf(field: DescField): string | undefined {
  if (field.fieldKind === 'list' || field.fieldKind === 'map') return '';
  if (field.fieldKind === 'message' || field.oneof !== undefined || field.presence === explicitPresence)
    return undefined;
  if (field.fieldKind === 'enum') return `"${field.enum.value[0]?.name ?? ''}"`;
  return zeroOf(field.scalar);
}

const explicitPresence = 1;

function zeroOf(type: ScalarType): string {
  if (type === ScalarType.STRING || type === ScalarType.BYTES) return '""';
  if (type === ScalarType.BOOL) return 'false';
  const is64 = [ScalarType.INT64, ScalarType.UINT64, ScalarType.SINT64, ScalarType.FIXED64, ScalarType.SFIXED64];
  return is64.includes(type) ? '"0"' : '0';
}

function isEtag(field: DescField): boolean {
  return field.jsonName === 'etag' && field.fieldKind === 'scalar';
}
