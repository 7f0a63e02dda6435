import { JsonNumber } from '@signet/signature/json.ts';

// A number here keeps the text that Python's json writes: digits for an int, repr for a float, NaN and ±Infinity.

/** Python's NaN, as its json writes it. */
export const NAN = new JsonNumber('NaN');

/** True if the number is a Python int; false for a float, NaN and infinities included. */
export function isInt(number: JsonNumber): boolean {
  return number.isInteger;
}

/** The int of decimal digits; `-0` is 0. */
export function makeInt(digits: string): JsonNumber {
  return new JsonNumber(digits === '-0' ? '0' : digits);
}

/** The float of a double. */
export function makeFloat(value: number): JsonNumber {
  return Number.isNaN(value) ? NAN : new JsonNumber(jsonFloat(value));
}

/** Brings a number of any JSON spelling (`1E5`, `-0`, `0.10`) to the text that Python would write for it. */
export function canonicalNumber(number: JsonNumber): JsonNumber {
  if (number.isInteger) return number.text === '-0' ? makeInt('-0') : number;
  const value = toDouble(number);
  const text = Number.isNaN(value) ? 'NaN' : jsonFloat(value);
  return text === number.text ? number : new JsonNumber(text);
}

/** The nearest double; an int beyond the range of doubles gives an infinity. */
export function toDouble(number: JsonNumber): number {
  return Number(number.text);
}

/** What Python's `str` makes of a number. */
export function numberText(number: JsonNumber): string {
  if (number.isInteger) return number.text === '-0' ? '0' : number.text;
  return floatText(toDouble(number));
}

/** What Python's `repr` makes of a float: `1.0`, `1e+16`, `1e-05`, `nan`, `-inf`. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return finiteText(value);
}

function jsonFloat(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return finiteText(value);
}

function finiteText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const magnitude = Math.abs(value);
  // JavaScript writes the same shortest digits; only where it changes to an exponent differs.
  if (magnitude >= 1e-4 && magnitude < 1e16) {
    const plain = String(value);
    return Number.isInteger(value) ? `${plain}.0` : plain;
  }
  const [digits = '', power = ''] = value.toExponential().split('e');
  const exponent = Number(power);
  const size = String(Math.abs(exponent)).padStart(2, '0');
  return `${digits}e${exponent < 0 ? '-' : '+'}${size}`;
}
