import { Cursor, describeToken } from './cursor.ts';
import { fieldNameProblem } from './field-name.ts';
import { limits } from './limits.ts';
import { readType } from './parse-type.ts';
import { requireCanonicalSize } from './parser.ts';
import type { Field, SignatureSpec, Type } from './types.ts';

const plainKinds = ['str', 'int', 'float', 'bool', 'any'];

/**
 * Parses the plain form, `question: str, context: list[str] -> answer, score: float`: names with types that are plain (`str`, `int`,
 * `float`, `bool`, `Any`) or a `list` or `dict` of plain ones, and nothing else: no constraints, defaults, descriptions and unions. What
 * it reads means the same to `parseSpec`. Throws SignatureError with line and column.
 */
export function parseBasicSpec(text: string): SignatureSpec {
  const cursor = new Cursor(text, { mlTypes: [] });
  const names = new Set<string>();
  const inputs = readFields(cursor, names, false);
  cursor.expect('->', 'between inputs and outputs');
  const outputs = readFields(cursor, names, true);
  if (cursor.next.kind !== 'end') {
    throw cursor.syntax(`the basic parser reads names and plain types alone, not ${describeToken(cursor.next)}`);
  }
  const spec = { inputs, outputs };
  requireCanonicalSize(spec);
  return spec;
}

function readFields(cursor: Cursor, names: Set<string>, output: boolean): Field[] {
  const fields: Field[] = [];
  do {
    if (names.size >= limits.fieldsMax) {
      throw cursor.type(`a signature has at most ${limits.fieldsMax} fields`, cursor.next);
    }
    fields.push(readField(cursor, names, output));
  } while (cursor.accept(','));
  return fields;
}

function readField(cursor: Cursor, names: Set<string>, output: boolean): Field {
  const token = cursor.next;
  if (token.kind !== 'name') throw cursor.syntax(`expected a field's name, found ${describeToken(token)}`);
  cursor.take();
  const name = token.text;
  const problem =
    fieldNameProblem(name, output) ?? (names.has(name) ? `the field \`${name}\` stands twice` : undefined);
  if (problem) throw cursor.type(problem, token);
  names.add(name);
  if (!cursor.accept(':')) return { name, type: { kind: 'str' }, constraints: [] };
  const at = cursor.next;
  const type = readType(cursor);
  if (!isBasic(type)) throw cursor.type('the basic parser takes plain types, and lists and dicts of them', at);
  return { name, type, constraints: [] };
}

function isBasic(type: Type): boolean {
  if (type.kind === 'list') return type.item === undefined || plainKinds.includes(type.item.kind);
  if (type.kind !== 'dict') return plainKinds.includes(type.kind);
  const parts = [type.key, type.value];
  return parts.every((part) => part === undefined || plainKinds.includes(part.kind));
}
