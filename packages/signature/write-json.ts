import { isArray, JsonNumber, type JsonValue } from './json.ts';

/** Writes a value as compact JSON text; numbers come out in the very digits they came in, lone surrogates escaped. */
export function writeJson(value: JsonValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (value instanceof JsonNumber) return value.text;
  if (isArray(value)) {
    if (value.length === 0) return '[]';
    let text = `[${writeJson(value[0]!)}`;
    for (let index = 1; index < value.length; index++) text += `,${writeJson(value[index]!)}`;
    return `${text}]`;
  }
  let text = '';
  for (const [key, member] of value) text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${writeJson(member)}`;
  return text === '' ? '{}' : `${text}}`;
}
