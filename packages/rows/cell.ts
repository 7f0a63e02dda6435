import { isStorableText, JsonError, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { type Field, isOptional, type Type, withoutNone } from '@signet/signature/types.ts';
import { writeJson } from '@signet/signature/write-json.ts';

/** What a cell says of a field: a value, nothing (`undefined`), or why it cannot be read. */
export type CellReading = { readonly value: JsonValue | undefined } | { readonly problem: string };

const truths = new Map([
  ...['true', 'yes', '1'].map((text) => [text, true] as const),
  ...['false', 'no', '0'].map((text) => [text, false] as const),
]);

/**
 * Reads a cell as the value of a field: texts as they stand, numbers and truth values (true, yes, 1, false, no, 0 in any case) by the
 * type, everything else as JSON. An empty cell leaves the field out, but is the empty text for a `str` that must be there.
 * Whether the value fits the type is for the checker to say.
 */
export function readCell(field: Field, text: string): CellReading {
  const type = withoutNone(field.type);
  if (text === '') return { value: type.kind === 'str' && !isOptional(field) ? '' : undefined };
  switch (type.kind) {
    case 'str':
      return { value: text };
    case 'int':
    case 'float':
    case 'probability':
      return readNumber(text, type.kind);
    case 'bool': {
      const value = truths.get(text.trim().toLowerCase());
      return value === undefined ? { problem: 'expected `true` or `false`' } : { value };
    }
    case 'literal':
      return { value: type.members.includes(text) ? text : (jsonIn(text) ?? text) };
    case 'any':
    case 'union':
      // Text that is no JSON stands for itself.
      return { value: jsonIn(text) ?? text };
    default:
      return readJson(text, type);
  }
}

/** Writes a value so that `readCell` reads it back; null and nothing become an empty cell. */
export function writeCell(field: Field, value: JsonValue | undefined): string {
  if (value === undefined || value === null) return '';
  const { kind } = withoutNone(field.type);
  const isPlain = kind === 'str' || kind === 'literal' || jsonIn(String(value)) === undefined;
  return typeof value === 'string' && isPlain ? value : writeJson(value);
}

function readNumber(text: string, kind: string): CellReading {
  const value = jsonIn(text);
  if (value instanceof JsonNumber) return { value };
  return { problem: `expected \`${kind}\`, written as in JSON` };
}

function readJson(text: string, { kind }: Type): CellReading {
  try {
    return { value: parseJson(text) };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { problem: `expected \`${kind}\` as JSON: ${error.message}` };
  }
}

function jsonIn(text: string): JsonValue | undefined {
  if (!isStorableText(text)) return undefined;
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}
