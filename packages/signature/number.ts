import type { JsonNumber } from './json.ts';

/** Compares two numbers: negative if `a` is the smaller. Integers are compared exactly, others as doubles. */
export function compareNumbers(a: JsonNumber, b: JsonNumber): number {
  if (isLong(a.text) || isLong(b.text)) {
    if (a.isInteger && b.isInteger) {
      const difference = BigInt(a.text) - BigInt(b.text);
      return difference < 0n ? -1 : difference > 0n ? 1 : 0;
    }
  }
  return a.toNumber() - b.toNumber();
}

/** True if `value` is a multiple of `step`: exactly for integers, within a billionth for others, as pydantic does. */
export function isMultiple(value: JsonNumber, step: JsonNumber): boolean {
  if (value.isInteger && step.isInteger) return BigInt(value.text) % BigInt(step.text) === 0n;
  const whole = value.toNumber();
  const divisor = step.toNumber();
  const rest = Math.abs(whole % divisor);
  const threshold = Math.abs(whole) / 1e9;
  return rest <= threshold || Math.abs(rest - divisor) <= threshold;
}

/** The number of an integral text such as `3.0` or `12e1`, written as an integer; nothing if it is not integral or beyond 2^53. */
export function integralText(text: string): string | undefined {
  const value = Number(text);
  return Number.isSafeInteger(value) ? String(value === 0 ? 0 : value) : undefined;
}

function isLong(text: string): boolean {
  return text.length > 15;
}
