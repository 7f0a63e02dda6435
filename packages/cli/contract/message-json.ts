import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  type Message,
  type Registry,
  toJson,
} from '@bufbuild/protobuf';
import { type JsonObject, type JsonValue as Lossless, parseJson, writeJson } from '@signet/client/json.ts';
import { UsageError } from '../usage-error.ts';

const PAYLOAD = 'signet.v1.Payload';
const SYNONYMS: Readonly<Record<string, string>> = { ACTIVE: 'READY', PYTHON: 'PYTHON_PORT' };

/**
 * Makes a request of JSON as callers write it: a Payload is the plain object, enums have short names, keys may be snake_case, 64-bit
 * integers may be numbers. Throws UsageError that names what cannot be read.
 */
export function messageFromJson(desc: DescMessage, json: JsonObject, registry: Registry): Message {
  try {
    return fromJson(desc, lowerObject(desc, json), { registry });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `${desc.name}: ${error instanceof Error ? error.message.replace(/^cannot decode \S+ from JSON: /, '') : error}`,
    );
  }
}

/**
 * A message as JSON as callers read it: a Payload is the plain object in its own digits. `isWhole` writes what is empty too, as the HTTP
 * API does; else numbers alone are written whatever they are.
 */
export function messageToJson(message: Message, desc: DescMessage, registry: Registry, isWhole = false): JsonObject {
  const json = toJson(desc, message, { registry, alwaysEmitImplicit: true });
  return liftObject(desc, json as { [key: string]: JsonValue }, isWhole);
}

function lowerObject(desc: DescMessage, json: JsonObject): { [key: string]: JsonValue } {
  const lowered = Object.entries(json).map(([key, value]) => {
    const field = desc.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    return [key, field === undefined ? plain(value) : each(field, value, lowerValue)];
  });
  return Object.fromEntries(lowered);
}

function lowerValue(of: DescMessage | DescEnum | undefined, value: Lossless, name: string): JsonValue {
  if (of?.kind === 'enum') return typeof value === 'string' ? enumName(of, value) : plain(value);
  // A list or a map that is none is protobuf's to refuse.
  if (of === undefined || value === null) return plain(value);
  if (of.typeName.startsWith('google.protobuf.')) return plain(value);
  if (!isObject(value)) throw new UsageError(`${name} must be an object`);
  if (of.typeName === PAYLOAD) return { json: Buffer.from(writeJson(value)).toString('base64') };
  return lowerObject(of, value);
}

function liftObject(desc: DescMessage, json: { [key: string]: JsonValue }, isWhole: boolean): JsonObject {
  const lift = (of: DescMessage | DescEnum | undefined, value: Lossless): Lossless => {
    if (of?.kind !== 'message' || !isObject(value)) return value;
    if (of.typeName === PAYLOAD) return payloadValue(value);
    return of.typeName.startsWith('google.protobuf.') ? value : liftObject(of, value as typeof json, isWhole);
  };
  const lifted = Object.entries(json).flatMap(([key, value]) => {
    const field = desc.fields.find(({ jsonName }) => jsonName === key);
    if (field === undefined) return [[key, value as Lossless]];
    return isWhole || !isEmpty(field, value) ? [[key, each(field, value as Lossless, lift)]] : [];
  });
  return Object.fromEntries(lifted);
}

function isEmpty(field: DescField, value: JsonValue): boolean {
  if (field.fieldKind === 'map') return Object.keys(value as object).length === 0;
  if (Array.isArray(value)) return value.length === 0;
  return value === '' || value === false || (field.fieldKind === 'enum' && value === field.enum.values[0]?.name);
}

function payloadValue(payload: JsonObject): Lossless {
  if (typeof payload.json === 'string') return parseJson(Buffer.from(payload.json, 'base64').toString('utf8'));
  return payload.struct ?? {};
}

// A field's values one by one, whether it is a list, a map or a single one.
function each<T extends Lossless>(
  field: DescField,
  value: Lossless,
  change: (of: DescMessage | DescEnum | undefined, value: Lossless, name: string) => T,
): Lossless & T {
  const of = field.message ?? field.enum;
  if (field.fieldKind === 'list' && Array.isArray(value))
    return value.map((item) => change(of, item, field.name)) as never;
  if (field.fieldKind === 'map' && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(of, item, field.name)])) as never;
  }
  return change(of, value, field.name) as never;
}

function enumName(desc: DescEnum, given: string): string {
  const name = given.toUpperCase();
  const prefix = desc.sharedPrefix?.toUpperCase() ?? '';
  const found = [name, `${prefix}${name}`, `${prefix}${SYNONYMS[name] ?? ''}`].find((one) =>
    desc.values.some((value) => value.name === one),
  );
  if (found === undefined) throw new UsageError(`\`${given}\` is none of ${enumChoices(desc).join(', ')}`);
  return found;
}

/** The short names of an enum's values, without the unspecified one. */
export function enumChoices(desc: DescEnum): string[] {
  const prefix = desc.sharedPrefix?.length ?? 0;
  return desc.values.filter(({ number }) => number !== 0).map(({ name }) => name.slice(prefix).toLowerCase());
}

// Protobuf's JSON takes 64-bit integers as text.
function plain(value: Lossless): JsonValue {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value as JsonValue;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

function isObject(value: Lossless): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
