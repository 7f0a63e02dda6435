import { constraintProblem } from './constraint.ts';
import { Cursor, describeToken, type ParseOptions } from './cursor.ts';
import { fieldNameProblem } from './field-name.ts';
import { findFieldType } from './field-type.ts';
import { JsonNumber, type JsonValue } from './json.ts';
import { type Token, utf8Length } from './lexer.ts';
import { limits } from './limits.ts';
import { readType } from './parse-type.ts';
import { printSpec } from './print.ts';
import { SignatureError } from './signature-error.ts';
import { suggest } from './suggest.ts';
import {
  type Constraint,
  type ConstraintName,
  constraintNames,
  type Field,
  type SignatureSpec,
  type Type,
} from './types.ts';
import { compileChecker } from './value.ts';

/**
 * Parses the spec form, such as `question: str, context: list[str] -> answer: str, confidence: float`; the package's README
 * has the grammar. Throws SignatureError with line and column. Takes well under 5 ms for the longest text, 8 KiB.
 */
export function parseSpec(text: string, options: ParseOptions = {}): SignatureSpec {
  const cursor = new Cursor(text, options);
  // The module form begins with a word of its own.
  if (cursor.next.text === 'signature' && cursor.next.kind === 'name' && cursor.afterNext.kind === 'name')
    cursor.take();
  const names = new Set<string>();
  const start = cursor.next;
  const inputs = readSide(cursor, names, false);
  const arrow = cursor.expect('->', 'between inputs and outputs');
  if (inputs.length === 0) throw cursor.syntax('a signature needs at least one input before `->`', start);
  const outputs = readSide(cursor, names, true);
  if (cursor.sees('->')) throw cursor.syntax('a signature has exactly one `->`');
  if (cursor.next.kind !== 'end') throw cursor.syntax(`expected \`,\` or the end, found ${describeToken(cursor.next)}`);
  if (outputs.length === 0) throw cursor.syntax('a signature needs at least one output after `->`', arrow);
  const spec = { inputs, outputs };
  requireCanonicalSize(spec);
  return spec;
}

/** Throws SignatureError if the canonical text of a signature is longer than a spec may be. */
export function requireCanonicalSize(spec: SignatureSpec): void {
  if (utf8Length(printSpec(spec)) > limits.specBytesMax) {
    throw new SignatureError('SIGNATURE_SYNTAX', `the canonical text is longer than ${limits.specBytesMax} bytes`);
  }
}

function readSide(cursor: Cursor, names: Set<string>, output: boolean): Field[] {
  const fields: Field[] = [];
  while (cursor.next.kind !== 'end' && !cursor.sees('->')) {
    if (names.size >= limits.fieldsMax) {
      throw cursor.type(`a signature has at most ${limits.fieldsMax} fields`, cursor.next);
    }
    fields.push(readField(cursor, names, output));
    if (!cursor.accept(',')) break;
  }
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
  const { type, registered }: FieldTypeRead = cursor.accept(':') ? readFieldType(cursor) : { type: { kind: 'str' } };
  const constraints = cursor.sees('(') ? readConstraints(cursor, type) : [];
  const bare: Field = { name, type, constraints, ...(registered !== undefined && { registered }) };
  const value = cursor.accept('=') ? readDefault(cursor, bare) : undefined;
  const description = cursor.next.kind === 'string' ? cursor.take().text : '';
  return {
    ...bare,
    ...(description !== '' && { description }),
    ...(value !== undefined && { default: value }),
  };
}

type FieldTypeRead = { readonly type: Type; readonly registered?: string };

function readFieldType(cursor: Cursor): FieldTypeRead {
  const token = cursor.next;
  const known = token.kind === 'name' ? findFieldType(token.text) : undefined;
  if (known !== undefined) {
    cursor.take();
    return { type: known.base, registered: known.name };
  }
  const type = readType(cursor);
  if (type.kind === 'none')
    throw cursor.type('`None` alone is no type of a field; write `str | None` or the like', token);
  return { type };
}

function readConstraints(cursor: Cursor, type: Type): Constraint[] {
  const constraints: Constraint[] = [];
  cursor.expect('(', 'before the constraints');
  while (!cursor.sees(')')) {
    const token = cursor.next;
    const constraint = readConstraint(cursor);
    const problem = constraintProblem(type, constraints, constraint);
    if (problem) throw cursor.type(problem, token);
    constraints.push(constraint);
    if (!cursor.accept(',')) break;
  }
  cursor.expect(')', 'after the constraints');
  return constraints;
}

function readConstraint(cursor: Cursor): Constraint {
  const token = cursor.take();
  if (token.kind !== 'name')
    throw cursor.syntax(`expected a constraint such as \`ge=0\`, found ${describeToken(token)}`, token);
  if (!isConstraintName(token.text)) {
    throw cursor.type(`unknown constraint ${describeToken(token)}${suggest(token.text, constraintNames)}`, token);
  }
  cursor.expect('=', `after \`${token.text}\``);
  const bound = cursor.take();
  if (bound.kind !== 'number')
    throw cursor.syntax(`\`${token.text}\` takes a number, not ${describeToken(bound)}`, bound);
  return { name: token.text, value: new JsonNumber(bound.text) };
}

/** True for the name of a constraint. */
export function isConstraintName(text: string): text is ConstraintName {
  return (constraintNames as readonly string[]).includes(text);
}

function readDefault(cursor: Cursor, field: Field): JsonValue {
  const token = cursor.next;
  const result = fitDefault(field, readLiteral(cursor, 1));
  if (typeof result === 'object') return result.value;
  throw cursor.type(result, token);
}

/** The default as the field keeps it, or why it does not fit the type and the constraints. */
export function fitDefault(field: Field, value: JsonValue): { value: JsonValue } | string {
  const result = compileChecker([field], { root: 'default' })(new Map([[field.name, value]]));
  if (result.ok) return { value: result.values.get(field.name)! };
  const { field: path, description } = result.violations[0]!;
  const inside = path.slice(`default.${field.name}`.length);
  return `the default of \`${field.name}\` does not fit: ${inside === '' ? '' : `${inside} `}${description}`;
}

function readLiteral(cursor: Cursor, depth: number): JsonValue {
  if (depth > limits.nestingMax) throw cursor.syntax(`defaults nest at most ${limits.nestingMax} levels deep`);
  const token = cursor.take();
  if (token.kind === 'string') return token.text;
  if (token.kind === 'number') return new JsonNumber(token.text);
  if (token.kind === 'name') return readWord(cursor, token);
  if (token.kind === 'mark' && token.text === '[') return readListLiteral(cursor, depth);
  if (token.kind === 'mark' && token.text === '{') return readDictLiteral(cursor, depth);
  throw cursor.syntax(`expected a default, found ${describeToken(token)}`, token);
}

function readWord(cursor: Cursor, token: Token): JsonValue {
  if (token.text === 'True' || token.text === 'true') return true;
  if (token.text === 'False' || token.text === 'false') return false;
  if (token.text === 'None' || token.text === 'null') return null;
  throw cursor.syntax(`expected a default, found ${describeToken(token)}; a text is quoted`, token);
}

function readListLiteral(cursor: Cursor, depth: number): JsonValue {
  const items: JsonValue[] = [];
  while (!cursor.sees(']')) {
    items.push(readLiteral(cursor, depth + 1));
    if (!cursor.accept(',')) break;
  }
  cursor.expect(']', 'after the items of a list');
  return items;
}

function readDictLiteral(cursor: Cursor, depth: number): JsonValue {
  const members = new Map<string, JsonValue>();
  while (!cursor.sees('}')) {
    const key = cursor.take();
    if (key.kind !== 'string') throw cursor.syntax(`a key is a quoted text, not ${describeToken(key)}`, key);
    if (members.has(key.text)) throw cursor.syntax('a key stands twice in one dict', key);
    cursor.expect(':', 'after the key');
    members.set(key.text, readLiteral(cursor, depth + 1));
    if (!cursor.accept(',')) break;
  }
  cursor.expect('}', 'after the entries of a dict');
  return members;
}
