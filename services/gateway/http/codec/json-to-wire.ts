import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import { type BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { isArray, isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { suggest } from '@signet/signature/suggest.ts';
import type { Faults } from './faults.ts';
import { enumCodec, mismatch, type ScalarCodec, scalarCodec, scalarOf, type ValueWriter } from './scalar-to-wire.ts';
import { wellKnownWriters } from './well-known-to-wire.ts';

/** How JSON becomes the bytes of one message. Made once per message and kept. */
export type MessageWriter = {
  readonly desc: DescMessage;
  /** By lowerCamelCase and by proto name. */
  readonly fields: ReadonlyMap<string, FieldWriter>;
};

/** How JSON becomes one field, tag included. */
export type FieldWriter = {
  readonly field: DescField;
  readonly write: ValueWriter;
  readonly takesNull: boolean;
};

const cache = new WeakMap<DescMessage, MessageWriter>();

/** The writer of a message, by proto3's JSON mapping; a Payload is the plain object itself. */
export function messageWriter(desc: DescMessage): MessageWriter {
  let writer = cache.get(desc);
  if (writer === undefined) {
    const fields = new Map<string, FieldWriter>();
    writer = { desc, fields };
    cache.set(desc, writer);
    for (const field of desc.fields) {
      const takesNull = field.message?.typeName === 'google.protobuf.Value';
      const entry = { field, write: fieldWriter(field), takesNull };
      fields.set(field.jsonName, entry);
      fields.set(field.name, entry);
    }
  }
  return writer;
}

/** Writes the members of an object as the fields of a message; records every fault. */
export function writeMessage(writer: MessageWriter, object: JsonObject, out: BinaryWriter, faults: Faults): void {
  let oneofs: Map<string, string> | undefined;
  for (const [key, value] of object) {
    const entry = writer.fields.get(key);
    faults.enter(key);
    if (entry === undefined) {
      const names = writer.desc.fields.map((field) => field.jsonName);
      faults.add('FIELD_UNKNOWN', `is no field of this request${suggest(key, names)}`);
    } else if (value !== null || entry.takesNull) {
      const { field } = entry;
      if (key !== field.jsonName && object.has(field.jsonName)) {
        faults.add('FIELD_TWICE', `is given as ${field.jsonName} already`);
      }
      if (field.oneof !== undefined) {
        oneofs ??= new Map();
        const other = oneofs.get(field.oneof.name);
        if (other !== undefined) faults.add('FIELD_TWICE', `excludes ${other}`);
        oneofs.set(field.oneof.name, key);
      }
      entry.write(value, out, faults);
    }
    faults.leave();
  }
}

function fieldWriter(field: DescField): ValueWriter {
  switch (field.fieldKind) {
    case 'message':
      return taggedMessage(field.number, messageBody(field.message));
    case 'map':
      return mapWriter(field);
    case 'list': {
      const one =
        field.listKind === 'message'
          ? taggedMessage(field.number, messageBody(field.message))
          : taggedScalar(
              field.number,
              field.listKind === 'enum' ? enumCodec(field.enum) : scalarCodec(scalarOf(field)),
            );
      return (value, out, faults) => {
        if (!isArray(value)) return mismatch(faults, 'a list', value);
        for (let index = 0; index < value.length; index++) {
          faults.enter(index);
          one(value[index]!, out, faults);
          faults.leave();
        }
      };
    }
    case 'enum':
      return taggedScalar(field.number, enumCodec(field.enum));
    case 'scalar':
      return taggedScalar(field.number, scalarCodec(field.scalar));
  }
}

function taggedScalar(number: number, codec: ScalarCodec): ValueWriter {
  return (value, out, faults) => {
    out.tag(number, codec.wireType);
    codec.write(value, out, faults);
  };
}

function taggedMessage(number: number, body: ValueWriter): ValueWriter {
  return (value, out, faults) => {
    out.tag(number, WireType.LengthDelimited).fork();
    body(value, out, faults);
    out.join();
  };
}

function messageBody(desc: DescMessage): ValueWriter {
  const wellKnown = wellKnownWriters[desc.typeName];
  if (wellKnown !== undefined) return wellKnown;
  const writer = messageWriter(desc);
  return (value, out, faults) =>
    isObject(value) ? writeMessage(writer, value, out, faults) : mismatch(faults, 'an object', value);
}

function mapWriter(field: DescField & { fieldKind: 'map' }): ValueWriter {
  const valueWriter: ValueWriter =
    field.mapKind === 'message'
      ? taggedMessage(2, messageBody(field.message))
      : taggedScalar(2, field.mapKind === 'enum' ? enumCodec(field.enum) : scalarCodec(field.scalar));
  const keyWriter = taggedScalar(1, scalarCodec(field.mapKey));
  const keyOf = (key: string): JsonValue => (field.mapKey === ScalarType.BOOL ? key === 'true' : key);
  return (value, out, faults) => {
    if (!isObject(value)) return mismatch(faults, 'an object', value);
    for (const [key, member] of value) {
      faults.enter(key);
      out.tag(field.number, WireType.LengthDelimited).fork();
      keyWriter(keyOf(key), out, faults);
      valueWriter(member, out, faults);
      out.join();
      faults.leave();
    }
  };
}
