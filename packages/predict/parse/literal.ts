import { JsonNumber } from '@signet/signature/json.ts';
import { isInt, makeInt, toDouble } from '../python/number.ts';
import type { PythonValue } from '../python/value.ts';
import { type Coerce, UNFIT } from './coerced.ts';

/** The coercion to a `Literal`: a member of the same type, else one that is equal in Python, a truth value before an int. */
export function compileLiteral(members: readonly PythonValue[]): Coerce {
  const texts = new Set(members.filter((member) => typeof member === 'string'));
  const ints = new Set(members.filter((member) => member instanceof JsonNumber).map(({ text }) => text));
  const bools = new Set(members.filter((member) => typeof member === 'boolean'));
  const hasNone = members.includes(null);
  return (value) => {
    if (typeof value === 'string') return texts.has(value) ? value : UNFIT;
    if (value === null) return hasNone ? null : UNFIT;
    if (typeof value === 'boolean' && bools.has(value)) return value;
    if (value instanceof JsonNumber && ints.has(value.text)) return value;
    const number = integral(value);
    if (number === undefined) return UNFIT;
    if (number === '1' && bools.has(true)) return true;
    if (number === '0' && bools.has(false)) return false;
    return ints.has(number) ? makeInt(number) : UNFIT;
  };
}

/** True if a value is `in` the members of a `Literal`, by Python's `==`. */
export function isMember(members: readonly PythonValue[], value: PythonValue): boolean {
  if (typeof value === 'string' || value === null) return members.includes(value);
  const number = integral(value);
  return number !== undefined && members.some((member) => member !== null && integral(member) === number);
}

function integral(value: PythonValue): string | undefined {
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (!(value instanceof JsonNumber)) return undefined;
  if (isInt(value)) return value.text;
  const double = toDouble(value);
  return Number.isInteger(double) ? String(BigInt(double)) : undefined;
}
