import { JsonNumber } from '@signet/signature/json.ts';
import { isInt, toDouble } from './number.ts';
import { pythonRepr } from './repr.ts';
import { isDict, isList, type PythonObject, PythonOpaque, PythonSet, type PythonValue } from './value.ts';

/** Thrown for outputs that JSON cannot carry: NaN, infinities, half surrogate pairs. */
export class UnwritableError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnwritableError';
  }
}

/** Writes a run's outputs as JSON text: integers keep their digits, floats their point, sets become lists in the sidecar's order. */
export function writeOutputs(outputs: PythonObject): string {
  return write(outputs);
}

function write(value: PythonValue): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (value instanceof JsonNumber) {
    if (!isInt(value) && !Number.isFinite(toDouble(value))) throw new UnwritableError(`${value.text} is not JSON`);
    return value.text;
  }
  if (value instanceof PythonOpaque) return quoted(value.repr);
  if (value instanceof PythonSet) return `[${ordered(value.items).map(write).join(',')}]`;
  if (isList(value)) return `[${value.map(write).join(',')}]`;
  if (isDict(value)) return `{${[...value].map(([key, member]) => `${quoted(key)}:${write(member)}`).join(',')}}`;
  throw new UnwritableError('a value of an unknown kind');
}

function quoted(text: string): string {
  if (!text.isWellFormed()) throw new UnwritableError('a text holds half a surrogate pair');
  return JSON.stringify(text);
}

// By the name of the type, then by repr, as the sidecar sorts them; code points decide, as they do in Python.
function ordered(items: readonly PythonValue[]): readonly PythonValue[] {
  const keyed = items.map((item) => ({ item, type: typeName(item), repr: reprOf(item) }));
  keyed.sort((a, b) => byPoints(a.type, b.type) || byPoints(a.repr, b.repr));
  return keyed.map(({ item }) => item);
}

function typeName(value: PythonValue): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'string') return 'str';
  return value instanceof JsonNumber ? (isInt(value) ? 'int' : 'float') : 'list';
}

function reprOf(value: PythonValue): string {
  try {
    return pythonRepr(value);
  } catch {
    // Where Python versions print a character differently, the text itself gives an order that is as good.
    return `'${String(value)}'`;
  }
}

function byPoints(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const difference = (left[index]?.codePointAt(0) ?? 0) - (right[index]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
