import { JsonNumber } from '@signet/signature/json.ts';
import { isInt, makeFloat, makeInt, toDouble } from '../python/number.ts';
import type { PythonValue } from '../python/value.ts';
import { type Coerced, DOUBT, type Nearness, UNFIT } from './coerced.ts';

const INT64 = 2 ** 63;

/** Brings a value to `int`: whole floats below 2^63, truth values and the texts that pydantic reads. */
export function intOf(value: PythonValue, near: Nearness): Coerced {
  if (value instanceof JsonNumber) {
    if (isInt(value)) return value;
    near.level = 2;
    const double = toDouble(value);
    return Number.isInteger(double) && Math.abs(double) < INT64 ? makeInt(String(BigInt(double))) : UNFIT;
  }
  near.level = 2;
  if (typeof value === 'boolean') return makeInt(value ? '1' : '0');
  return typeof value === 'string' ? intOfText(value) : UNFIT;
}

/** Brings a value to `float`: ints within the range of doubles, truth values and the texts that pydantic reads. */
export function floatOf(value: PythonValue, near: Nearness): Coerced {
  if (value instanceof JsonNumber) {
    if (!isInt(value)) return value;
    if (near.level < 1) near.level = 1;
    return floatOfInt(value);
  }
  near.level = 2;
  if (typeof value === 'boolean') return makeFloat(value ? 1 : 0);
  return typeof value === 'string' ? floatOfText(value) : UNFIT;
}

const BOOLS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 'on', 't', 'true', 'y', 'yes'].map((text) => [text, true] as const),
  ...['0', 'off', 'f', 'false', 'n', 'no'].map((text) => [text, false] as const),
]);

/** Brings a value to `bool`: 0 and 1 as numbers, and pydantic's words in any case. */
export function boolOf(value: PythonValue, near: Nearness): Coerced {
  if (typeof value === 'boolean') return value;
  near.level = 2;
  if (value instanceof JsonNumber) {
    const double = toDouble(value);
    return double === 1 ? true : double === 0 ? false : UNFIT;
  }
  if (typeof value !== 'string' || value.length > 5 || !/^[a-z0-9]+$/i.test(value)) return UNFIT;
  return BOOLS.get(value.toLowerCase()) ?? UNFIT;
}

const DIGITS_MAX = 4_000;
const INT_TEXT = /^[+-]?[0-9]+(?:_[0-9]+)*$/;
const WHOLE_FLOAT_TEXT = /^([+-]?[0-9]+)\.0+$/;
const FLOAT_TEXT = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const NAMED_FLOAT_TEXT = /^([+-]?)(nan|inf|infinity)$/i;

function intOfText(text: string): Coerced {
  const bare = trim(text);
  if (!/^[0-9_.+-]+$/.test(bare)) return UNFIT;
  if (bare.length > DIGITS_MAX) return DOUBT;
  if (INT_TEXT.test(bare)) return normalInt(bare.replaceAll('_', ''));
  const whole = WHOLE_FLOAT_TEXT.exec(bare);
  if (whole) return normalInt(whole[1]!);
  return bare.includes('_') ? DOUBT : UNFIT;
}

function normalInt(text: string): PythonValue {
  return makeInt(String(BigInt(text.startsWith('+') ? text.slice(1) : text)));
}

function floatOfText(text: string): Coerced {
  const bare = trim(text);
  if (bare.length > DIGITS_MAX) return DOUBT;
  if (FLOAT_TEXT.test(bare)) return makeFloat(Number(bare));
  const named = NAMED_FLOAT_TEXT.exec(bare);
  if (named) {
    if (named[2]!.toLowerCase() === 'nan') return makeFloat(Number.NaN);
    return makeFloat(named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
  }
  return bare.includes('_') && /^[0-9_.eE+-]+$/.test(bare) ? DOUBT : UNFIT;
}

// Rust's white space: Python's without U+001C to U+001F.
const EDGES =
  /^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/g;

function trim(text: string): string {
  return text.replace(EDGES, '');
}

function floatOfInt(number: JsonNumber): Coerced {
  const value = toDouble(number);
  return Number.isFinite(value) ? makeFloat(value) : UNFIT;
}
