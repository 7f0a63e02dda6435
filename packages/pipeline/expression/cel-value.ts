import { type CelInput, type CelValue, isCelList, isCelMap, isCelUint } from '@bufbuild/cel';
import { isArray, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { pipelineLimits } from '../pipeline.ts';
import { ExpressionError } from './expression-error.ts';

const intMin = -(2n ** 63n);
const intMax = 2n ** 63n - 1n;
const depthMax = 32;

/** A JSON value as CEL sees it: integers that fit into 64 bits are `int`, other numbers `double`. */
export function toCel(value: JsonValue): CelInput {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof JsonNumber) return toCelNumber(value);
  if (isArray(value)) return value.map(toCel);
  return new Map([...value].map(([key, member]) => [key, toCel(member)]));
}

function toCelNumber(number: JsonNumber): bigint | number {
  // Longer ones cannot fit, and reading their digits would take its time.
  if (number.isInteger && number.text.length <= 20) {
    const whole = BigInt(number.text);
    if (whole >= intMin && whole <= intMax) return whole;
  }
  return number.toNumber();
}

/** What an expression came to, as JSON; ExpressionError for what JSON cannot hold and for more than `expressionResultMax` characters. */
export function fromCel(value: CelValue): JsonValue {
  let left: number = pipelineLimits.expressionResultMax;
  const spend = (characters: number): void => {
    left -= characters;
    if (left < 0) {
      throw new ExpressionError(`an expression gives more than ${pipelineLimits.expressionResultMax} characters`);
    }
  };
  const read = (from: CelValue, depth: number): JsonValue => {
    spend(1);
    if (depth > depthMax) throw new ExpressionError(`an expression gives more than ${depthMax} levels`);
    if (from === null || typeof from === 'boolean') return from;
    if (typeof from === 'string') {
      spend(from.length);
      return from;
    }
    if (typeof from === 'bigint') return new JsonNumber(String(from));
    if (typeof from === 'number') return fromDouble(from);
    if (isCelUint(from)) return new JsonNumber(String(from.value));
    if (isCelList(from)) return Array.from(from, (item) => read(item, depth + 1));
    if (isCelMap(from)) {
      const object = new Map<string, JsonValue>();
      for (const [key, member] of from) {
        if (typeof key !== 'string') throw new ExpressionError('an expression gives a map whose keys are no texts');
        spend(key.length);
        object.set(key, read(member, depth + 1));
      }
      return object;
    }
    throw new ExpressionError('an expression gives what is no JSON value');
  };
  return read(value, 0);
}

function fromDouble(value: number): JsonNumber {
  if (!Number.isFinite(value)) throw new ExpressionError('an expression gives a number that JSON cannot hold');
  if (Object.is(value, -0)) return new JsonNumber('-0.0');
  return new JsonNumber(Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : String(value));
}
