import { isArray, isObject, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { isInt, numberText, toDouble } from './number.ts';

const DEPTH_MAX = 100;

/** Thrown for a value whose text in Python this package does not foretell. */
export class DoubtError extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'DoubtError';
  }
}

/**
 * The text of a list or an object inside a prompt: `json.dumps(…, ensure_ascii=False)` of what pydantic makes of it, so NaN
 * and infinities are null. Throws DoubtError for half surrogate pairs and for nesting beyond 100 levels.
 */
export function jsonText(value: JsonValue, depth = 0): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (value instanceof JsonNumber) return isInt(value) || Number.isFinite(toDouble(value)) ? numberText(value) : 'null';
  if (depth >= DEPTH_MAX) throw new DoubtError('a value nests too deeply');
  if (isArray(value)) {
    let text = '';
    for (const item of value) text += `${text === '' ? '[' : ', '}${jsonText(item, depth + 1)}`;
    return text === '' ? '[]' : `${text}]`;
  }
  if (!isObject(value)) throw new DoubtError('a value that no JSON holds');
  let text = '';
  for (const [key, member] of value)
    text += `${text === '' ? '{' : ', '}${quoted(key)}: ${jsonText(member, depth + 1)}`;
  return text === '' ? '{}' : `${text}}`;
}

function quoted(text: string): string {
  if (!text.isWellFormed()) throw new DoubtError('a text holds half a surrogate pair');
  // JavaScript escapes exactly what Python does: quote, backslash and control characters below a blank.
  return JSON.stringify(text);
}
