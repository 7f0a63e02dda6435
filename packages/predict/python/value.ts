import type { JsonNumber } from '@signet/signature/json.ts';

/** A Python value as replies give it. Tuples are arrays; sets stand as themselves; numbers have Python's own text. */
export type PythonValue =
  | null
  | boolean
  | string
  | JsonNumber
  | readonly PythonValue[]
  | PythonObject
  | PythonSet
  | PythonOpaque;

/** A dict with text keys, in Python's order. */
export type PythonObject = ReadonlyMap<string, PythonValue>;

/** A set: items that differ by Python's `==`, in the order in which they came. */
export class PythonSet {
  readonly items: readonly PythonValue[];

  /** Takes items that are already distinct. */
  constructor(items: readonly PythonValue[]) {
    this.items = items;
  }
}

/** A value of another Python type (bytes, a dict with numbers as keys), known by its repr alone. */
export class PythonOpaque {
  readonly repr: string;

  /** Takes what Python's `repr` gave. */
  constructor(repr: string) {
    this.repr = repr;
  }
}

/** True for an array, which stands for a list or a tuple. */
export function isList(value: PythonValue): value is readonly PythonValue[] {
  return Array.isArray(value);
}

/** True for a dict. */
export function isDict(value: PythonValue): value is PythonObject {
  return value instanceof Map;
}
