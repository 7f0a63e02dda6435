import { isArray, isObject, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { normalizeText } from './answer-text.ts';

/** How two texts are compared. */
export type SameText = (a: string, b: string) => boolean;

/** Character by character. */
export const verbatim: SameText = (a, b) => a === b;

/** As DSPy's EM compares: without case, punctuation, English articles and superfluous spaces. */
export const normalized: SameText = (a, b) => normalizeText(a) === normalizeText(b);

/** True if two values are equal: numbers by value, objects in any order of keys, texts by `sameText`; a text equals a number or a truth that is written so. */
export function sameValue(a: JsonValue, b: JsonValue, sameText: SameText): boolean {
  if (typeof a === 'string' && typeof b === 'string') return sameText(a, b);
  if (a instanceof JsonNumber && b instanceof JsonNumber) return a.text === b.text || sameNumber(a, b);
  if (isScalar(a) && isScalar(b) && (typeof a === 'string' || typeof b === 'string'))
    return sameText(textOf(a), textOf(b));
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return a === b;
  if (isArray(a) && isArray(b))
    return a.length === b.length && a.every((item, at) => sameValue(item, b[at]!, sameText));
  if (!isObject(a) || !isObject(b) || a.size !== b.size) return false;
  return [...a].every(([key, value]) => {
    const other = b.get(key);
    return other !== undefined && sameValue(value, other, sameText);
  });
}

/** A text, number or truth as text; undefined for all else. */
export function scalarText(value: JsonValue): string | undefined {
  return isScalar(value) ? textOf(value) : undefined;
}

type Scalar = string | boolean | JsonNumber;

function isScalar(value: JsonValue): value is Scalar {
  return typeof value === 'string' || typeof value === 'boolean' || value instanceof JsonNumber;
}

function textOf(value: Scalar): string {
  return value instanceof JsonNumber ? value.text : String(value);
}

// Integers beyond 2^53 are told apart by their text alone.
function sameNumber(a: JsonNumber, b: JsonNumber): boolean {
  if (a.isInteger && b.isInteger) return BigInt(a.text) === BigInt(b.text);
  return a.toNumber() === b.toNumber();
}
