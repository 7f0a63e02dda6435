/** A JSON value as callers hold it. An integer beyond 2^53 is a bigint, every other number a double. */
export type JsonValue = string | number | bigint | boolean | null | readonly JsonValue[] | JsonObject;

/** A JSON object as callers hold it. */
export type JsonObject = { readonly [key: string]: JsonValue };

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

// Both came after the declarations that TypeScript brings.
const parse = JSON.parse as (text: string, reviver: Reviver) => unknown;
const { rawJSON } = JSON as unknown as { rawJSON(text: string): object };

/** Reads JSON text; integers that a double cannot hold come as bigints. Throws SyntaxError. */
export function parseJson(text: string): JsonValue {
  return parse(text, (_key, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value,
  ) as JsonValue;
}

/** Writes a value as JSON text; bigints keep every digit. Throws TypeError for NaN and infinities, which JSON would turn into null. */
export function writeJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, (_key, member) => writable(member), indent);
  if (text === undefined) throw new TypeError('the value has no JSON form');
  return text;
}

function writable(value: unknown): unknown {
  if (typeof value === 'bigint') return rawJSON(value.toString());
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
  return value;
}
