import { isDict, isList, PythonOpaque, PythonSet, type PythonValue } from '@signet/predict/python/value.ts';
import { JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';

const NAMES: Readonly<Record<string, string>> = { NaN: 'nan', Infinity: 'inf', '-Infinity': '-inf' };

/** A value as files of cases write it: sets as `{"__set__": […]}`, what JSON cannot hold as `{"__py__": repr}`. */
export function encode(value: PythonValue): JsonValue {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof JsonNumber) {
    const name = NAMES[value.text];
    return name === undefined ? value : new Map([['__py__', name]]);
  }
  if (value instanceof PythonOpaque) return new Map([['__py__', value.repr]]);
  if (value instanceof PythonSet) return new Map([['__set__', value.items.map(encode)]]);
  if (isList(value)) return value.map(encode);
  return isDict(value) ? new Map([...value].map(([key, member]) => [key, encode(member)])) : null;
}

/** Text that is equal for equal values: types exact, objects and sets without order. */
export function canonicalText(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (!(value instanceof Map)) return writeJson(value);
  const set = value.size === 1 ? value.get('__set__') : undefined;
  if (Array.isArray(set)) return `{"__set__":[${set.map(canonicalText).sort().join(',')}]}`;
  const members = [...value].map(([key, member]) => `${JSON.stringify(key)}:${canonicalText(member)}`);
  return `{${members.sort().join(',')}}`;
}
