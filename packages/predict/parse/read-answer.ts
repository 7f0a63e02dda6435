import { readJson } from '../python/read-json.ts';
import { isDict, isList, type PythonObject, PythonOpaque, PythonSet, type PythonValue } from '../python/value.ts';

/** Where a value stands that JSON cannot tell from others: its path as a JSON array of keys and indices, and `set` or `repr`. */
export interface AnswerMark {
  readonly pathJson: string;
  readonly kind: string;
}

/** Reads the outputs that ParseCompletion answers. Throws TypeError for an answer that is damaged. */
export function readAnswer(outputsJson: string, marks: readonly AnswerMark[]): PythonObject {
  const read = readJson(outputsJson);
  if (typeof read === 'string' || !isDict(read.value)) throw new TypeError('the answer is no JSON object');
  let outputs: PythonValue = read.value;
  for (const { pathJson, kind } of marks) {
    const path: unknown = JSON.parse(pathJson);
    if (!Array.isArray(path)) throw new TypeError('a mark has no path');
    outputs = replaceAt(outputs, path, 0, kind);
  }
  if (!isDict(outputs)) throw new TypeError('the answer is no JSON object');
  return outputs;
}

function replaceAt(value: PythonValue, path: readonly unknown[], depth: number, kind: string): PythonValue {
  if (depth === path.length) {
    if (kind === 'set' && isList(value)) return new PythonSet(value);
    if (kind === 'repr' && typeof value === 'string') return new PythonOpaque(value);
    throw new TypeError('a mark names no value of its kind');
  }
  const step = path[depth];
  if (isDict(value) && typeof step === 'string' && value.has(step)) {
    const made = new Map(value);
    made.set(step, replaceAt(value.get(step) ?? null, path, depth + 1, kind));
    return made;
  }
  if (typeof step === 'number' && isList(value) && step in value) {
    return value.with(step, replaceAt(value[step] ?? null, path, depth + 1, kind));
  }
  if (value instanceof PythonSet && typeof step === 'number') {
    return new PythonSet(value.items.with(step, replaceAt(value.items[step] ?? null, path, depth + 1, kind)));
  }
  throw new TypeError('a mark names no place in the answer');
}
