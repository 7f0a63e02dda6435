import { describeJson, isArray, isObject, isStorableText, JsonNumber, type JsonValue } from './json.ts';
import { limits } from './limits.ts';
import { integralText } from './number.ts';
import { printLiteral } from './print.ts';
import type { LiteralMember } from './types.ts';
import { type Run, refuse } from './violation.ts';

/** `exact`: as it stands. `strict`: an integer may stand for a float. `lax`: what the package's README lists. */
export type CheckMode = 'exact' | 'strict' | 'lax';

/** Checks one value: gives it back, coerced where the mode allows, or records why not and gives back nothing. */
export type Check = (value: JsonValue, run: Run) => JsonValue | undefined;

/** Records that a value has another type than the expected one. */
export function mismatch(run: Run, expected: string, value: JsonValue): undefined {
  const shown = expected.length > 200 ? `${expected.slice(0, 200)}…` : expected;
  return refuse(run, 'TYPE_MISMATCH', `expected \`${shown}\`, got ${describeJson(value)}`);
}

const integerForm = /^-?[0-9]+$/;
const laxInteger = /^[+-]?[0-9]+$/;
const laxFloat = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/** Checks a text. */
export function checkText(value: JsonValue, run: Run): JsonValue | undefined {
  if (typeof value !== 'string') return mismatch(run, 'str', value);
  return isStorableText(value) ? value : refuseText(run, value);
}

/** Checks a text; a number or truth value stands for its own text. */
export function checkLaxText(value: JsonValue, run: Run): JsonValue | undefined {
  if (value instanceof JsonNumber) return value.text;
  return checkText(typeof value === 'boolean' ? String(value) : value, run);
}

/** Records what makes a text unfit to be stored. */
export function refuseText(run: Run, text: string): undefined {
  const fault = text.includes('\u0000') ? 'the character \\u0000' : 'half a surrogate pair';
  return refuse(run, 'TEXT_INVALID', `text must not hold ${fault}`);
}

/** Reads an integer of at most 4,300 digits; lax: `3.0` and `"3"` too. Nothing if it is none. */
export function readInteger(value: JsonValue, mode: CheckMode): JsonNumber | undefined {
  if (value instanceof JsonNumber) {
    if (integerForm.test(value.text)) {
      if (value.text.length > limits.integerDigitsMax + 1) return undefined;
      return value.text === '-0' ? new JsonNumber('0') : value;
    }
    const text = mode === 'lax' ? integralText(value.text) : undefined;
    return text === undefined ? undefined : new JsonNumber(text);
  }
  if (mode !== 'lax' || typeof value !== 'string') return undefined;
  const text = value.trim();
  if (!laxInteger.test(text)) return undefined;
  const digits = text.replace(/^[+-]?0*(?=[0-9])/, '');
  if (digits.length > limits.integerDigitsMax) return undefined;
  return new JsonNumber(text.startsWith('-') && digits !== '0' ? `-${digits}` : digits);
}

/** Checks a finite number; it comes back with a point or an exponent, which Python reads as a float. */
export function checkFloat(value: JsonValue, run: Run, mode: CheckMode, expected: string): JsonNumber | undefined {
  const text = floatText(value, mode);
  if (text === undefined) return mismatch(run, expected, value);
  // Without a point Python would read an integer.
  const number = integerForm.test(text)
    ? new JsonNumber(`${text}.0`)
    : value instanceof JsonNumber
      ? value
      : new JsonNumber(text);
  if (text.length > 300 && !Number.isFinite(Number(text))) {
    return refuse(run, 'TYPE_MISMATCH', 'the number is beyond the range of a float');
  }
  return number;
}

function floatText(value: JsonValue, mode: CheckMode): string | undefined {
  if (value instanceof JsonNumber) {
    return mode === 'exact' && integerForm.test(value.text) ? undefined : value.text;
  }
  if (mode !== 'lax' || typeof value !== 'string') return undefined;
  const text = value.trim();
  return laxFloat.test(text) && Number.isFinite(Number(text)) ? text : undefined;
}

/** Checks a number from 0 to 1. */
export function checkProbability(value: JsonValue, run: Run, mode: CheckMode): JsonValue | undefined {
  const number = checkFloat(value, run, mode, 'probability');
  if (!number) return undefined;
  const size = number.toNumber();
  return size >= 0 && size <= 1 ? number : refuse(run, 'CONSTRAINT_VIOLATED', 'a probability lies between 0 and 1');
}

/** Reads a truth value; lax: `"true"`, `"false"` in any case, 1 and 0 too. Nothing if it is none. */
export function readBoolean(value: JsonValue, mode: CheckMode): boolean | undefined {
  if (typeof value === 'boolean') return value;
  if (mode !== 'lax') return undefined;
  const text = value instanceof JsonNumber ? value.text : typeof value === 'string' ? value.trim().toLowerCase() : '';
  if (text === 'true' || (value instanceof JsonNumber && text === '1')) return true;
  return text === 'false' || (value instanceof JsonNumber && text === '0') ? false : undefined;
}

/** Makes the check of a `Literal`; lax: a member's text, or the number for a numeric text, stands for it. */
export function compileLiteral(members: readonly LiteralMember[], mode: CheckMode): Check {
  const exact = new Map(members.map((member) => [literalKey(member), member]));
  const asText = new Map(members.map((member) => [literalText(member), member]));
  const all = members.map(printLiteral).join(', ');
  const description = `must be one of ${all.length > 200 ? `${all.slice(0, 200)}…` : all}`;
  return (value, run) => {
    if (isArray(value) || isObject(value)) return refuse(run, 'TYPE_MISMATCH', description);
    const found = exact.get(literalKey(value));
    if (found !== undefined) return found;
    const near = mode === 'lax' ? asText.get(literalText(value).trim()) : undefined;
    return near !== undefined ? near : refuse(run, 'TYPE_MISMATCH', description);
  };
}

function literalKey(value: LiteralMember): string {
  return `${value === null ? 'null' : value instanceof JsonNumber ? 'number' : typeof value} ${literalText(value)}`;
}

function literalText(value: LiteralMember): string {
  return value instanceof JsonNumber ? value.text : String(value);
}
