/** A JSON value that loses nothing: numbers keep their text, objects their order and any key. Never changed once made. */
export type JsonValue = null | boolean | string | JsonNumber | JsonArray | JsonObject;

/** A JSON array. */
export type JsonArray = readonly JsonValue[];

/** A JSON object; a `Map`, so that no key (`__proto__`, `constructor`) has a meaning of its own. */
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** A JSON number as it was written: `9007199254740993`, `0.1000000000000000055` and `1.0` stay what they are. */
export class JsonNumber {
  readonly text: string;

  /** Takes JSON number text as it is; the caller answers for its form. */
  constructor(text: string) {
    this.text = text;
  }

  /** True if it is written without point and exponent. */
  get isInteger(): boolean {
    return integerText.test(this.text);
  }

  /** The nearest double; infinite beyond the double range. */
  toNumber(): number {
    return Number(this.text);
  }
}

const integerText = /^-?[0-9]+$/;

/** Names a value's JSON type with its article, as messages say it. */
export function describeJson(value: JsonValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return 'a string';
  if (typeof value === 'boolean') return 'a boolean';
  if (value instanceof JsonNumber) return value.isInteger ? 'an integer' : 'a number';
  return Array.isArray(value) ? 'a list' : 'an object';
}

/** Why a text is no JSON that we take. */
export type JsonErrorReason = 'JSON_SYNTAX' | 'JSON_TOO_DEEP' | 'JSON_DUPLICATE_KEY' | 'JSON_NUMBER';

/** Says why and where a JSON text is refused; line and column count from 1, columns in UTF-16 units; 0 where there is no text. */
export class JsonError extends Error {
  readonly reason: JsonErrorReason;
  readonly line: number;
  readonly column: number;

  constructor(reason: JsonErrorReason, problem: string, position?: { line: number; column: number }) {
    super(position ? `line ${position.line}, column ${position.column}: ${problem}` : problem);
    this.name = 'JsonError';
    this.reason = reason;
    this.line = position?.line ?? 0;
    this.column = position?.column ?? 0;
  }
}

/**
 * Makes a lossless value out of plain JavaScript data (as a protobuf Struct gives it). Members that are `undefined` are
 * left out. Throws JsonError for NaN, infinities, what JSON cannot hold, and nesting beyond `depthMax` (32).
 */
export function jsonFromPlain(value: unknown, depthMax = 32): JsonValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new JsonError('JSON_NUMBER', `${value} is not a JSON number`);
    return new JsonNumber(Object.is(value, -0) ? '-0' : String(value));
  }
  if (typeof value === 'bigint') return new JsonNumber(String(value));
  if (value instanceof JsonNumber) return value;
  if (typeof value !== 'object') throw new JsonError('JSON_SYNTAX', `a ${typeof value} is no JSON value`);
  if (depthMax <= 0) throw new JsonError('JSON_TOO_DEEP', 'the value is nested too deeply');
  if (Array.isArray(value)) return value.map((item) => jsonFromPlain(item, depthMax - 1));
  const entries = value instanceof Map ? value : Object.entries(value);
  const object = new Map<string, JsonValue>();
  for (const [key, member] of entries) {
    if (member !== undefined) object.set(String(key), jsonFromPlain(member, depthMax - 1));
  }
  return object;
}

/** Makes plain JavaScript data out of a lossless value: numbers become doubles, objects have no prototype. */
export function plainFromJson(value: JsonValue): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof JsonNumber) return value.toNumber();
  if (isArray(value)) return value.map(plainFromJson);
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, member] of value) object[key] = plainFromJson(member);
  return object;
}

/** True for a JSON array; `Array.isArray` that knows of read-only arrays. */
export function isArray(value: JsonValue): value is JsonArray {
  return Array.isArray(value);
}

/** True for a JSON object. */
export function isObject(value: JsonValue): value is JsonObject {
  return value instanceof Map;
}

/** True if Postgres and UTF-8 can hold the text: no `\u0000`, no surrogate without its pair. */
export function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000');
}

/**
 * The path of the first text, value or key, that holds `\u0000` or a lone surrogate, below `root`; nothing if all can be
 * stored. A key that is at fault is written escaped.
 */
export function findUnstorableText(value: JsonValue, root: string): string | undefined {
  if (typeof value === 'string') return isStorableText(value) ? undefined : root;
  if (value === null || typeof value !== 'object' || value instanceof JsonNumber) return undefined;
  if (isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = findUnstorableText(value[index]!, `${root}[${index}]`);
      if (found) return found;
    }
    return undefined;
  }
  for (const [key, member] of value) {
    const path = root + pathStep(key);
    if (!isStorableText(key)) return path;
    const found = findUnstorableText(member, path);
    if (found) return found;
  }
  return undefined;
}

/** Writes a key as a step of a path: `.name`, or `["other text"]` in at most 64 characters, escaped. */
export function pathStep(key: string): string {
  if (/^[\p{XID_Start}_]\p{XID_Continue}{0,63}$/u.test(key)) return `.${key}`;
  const shown = key.length > 64 ? `${key.slice(0, 64)}…` : key;
  return `[${JSON.stringify(shown)}]`;
}
