import { JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';

// Reading what files of cases hold: whatever is not there is said with its name, and fails that case alone.

/** A member that must be an object. */
export function objectAt(record: JsonObject, key: string): JsonObject {
  const value = record.get(key);
  if (value instanceof Map) return value;
  throw new Error(`the record's \`${key}\` is no object`);
}

/** A member that must be a list. */
export function listAt(record: JsonObject, key: string): readonly JsonValue[] {
  const value = record.get(key);
  if (Array.isArray(value)) return value;
  throw new Error(`the record's \`${key}\` is no list`);
}

/** A member that must be text. */
export function textAt(record: JsonObject, key: string): string {
  const value = record.get(key);
  if (typeof value === 'string') return value;
  throw new Error(`the record's \`${key}\` is no text`);
}

/** A value that must be an object. */
export function asObject(value: JsonValue | undefined, what: string): JsonObject {
  if (value instanceof Map) return value;
  throw new Error(`${what} is no object`);
}

const NUMBERS: Readonly<Record<string, string>> = { nan: 'NaN', inf: 'Infinity', '-inf': '-Infinity' };

/** A value with `{"__py__": "nan"}` and its kin as numbers; throws for values that exist as Python text alone. */
export function fromRecord(value: JsonValue): JsonValue {
  if (value === null || typeof value !== 'object' || value instanceof JsonNumber) return value;
  if (Array.isArray(value)) return value.map(fromRecord);
  const object = value as JsonObject;
  const python = object.get('__py__');
  if (typeof python === 'string' && object.size === 1) {
    const number = NUMBERS[python];
    if (number === undefined) throw new UntellableError(`the value ${python.slice(0, 60)} exists in Python alone`);
    return new JsonNumber(number);
  }
  return new Map([...object].map(([key, member]) => [key, fromRecord(member)]));
}

/** Thrown for a record that a plan cannot tell; such a case is skipped with the reason. */
export class UntellableError extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'UntellableError';
  }
}
