import type { ParseOptions } from './cursor.ts';
import { findFieldType } from './field-type.ts';
import { isArray, isObject, JsonError, JsonNumber, type JsonObject, type JsonValue, pathStep } from './json.ts';
import { parseJson } from './parse-json.ts';
import { parseType } from './parse-type.ts';
import { fitDefault, isConstraintName } from './parser.ts';
import { printFieldType, printType } from './print.ts';
import { SignatureError } from './signature-error.ts';
import { checkSpec } from './spec-check.ts';
import { type Constraint, type Field, isOptional, type SignatureSpec, type Type } from './types.ts';

/**
 * A signature as a JSON object: `{inputs, outputs}`, each a list of fields `{name, type, description?, optional, default?,
 * constraints}`; a type is its canonical text, constraints are a list of `{name, value}` with the bound as decimal text.
 */
export function toParsedSpec(spec: SignatureSpec): JsonObject {
  return new Map<string, JsonValue>([
    ['inputs', spec.inputs.map(toParsedField)],
    ['outputs', spec.outputs.map(toParsedField)],
  ]);
}

/** One field as a JSON object. */
export function toParsedField(field: Field): JsonObject {
  const made = new Map<string, JsonValue>([
    ['name', field.name],
    ['type', printFieldType(field)],
  ]);
  if (field.description !== undefined) made.set('description', field.description);
  made.set('optional', isOptional(field));
  if (field.default !== undefined) made.set('default', field.default);
  made.set('constraints', field.constraints.map(toParsedConstraint));
  return made;
}

function toParsedConstraint({ name, value }: Constraint): JsonObject {
  return new Map([
    ['name', name],
    ['value', value.text],
  ]);
}

/**
 * Reads a signature back from its JSON object and checks it anew. Constraints may also be an object, `{"ge": 0}`, in its order. An `optional` field whose type does not admit `None` and
 * that has no default becomes `X | None`. Throws SignatureError, without a place, naming the field.
 */
export function fromParsedSpec(value: JsonValue, options: ParseOptions = {}): SignatureSpec {
  if (!isObject(value)) throw refuse('a signature is an object of inputs and outputs');
  const read = (side: string) => {
    const fields = value.get(side) ?? [];
    if (!isArray(fields)) throw refuse(`${side} must be a list of fields`);
    return fields.map((field, index) => fromParsedField(field, `${side}[${index}]`, options));
  };
  return checkSpec({ inputs: read('inputs'), outputs: read('outputs') });
}

function fromParsedField(value: JsonValue, path: string, options: ParseOptions): Field {
  if (!isObject(value)) throw refuse(`${path} must be an object`);
  const name = readText(value, 'name', path);
  if (name === undefined) throw refuse(`${path}.name is missing`);
  const written = readText(value, 'type', path) ?? 'str';
  const known = findFieldType(written);
  const given = known?.base ?? readType(written, path, options);
  const fallback = value.get('default');
  const description = readText(value, 'description', path);
  const bare: Field = {
    name: name.normalize('NFKC'),
    type: given,
    constraints: readConstraints(value.get('constraints'), path),
    ...(description && { description }),
    ...(known !== undefined && { registered: known.name }),
  };
  if (fallback === undefined) {
    if (value.get('optional') !== true || isOptional(bare)) return bare;
    if (known !== undefined) throw refuse(`${path}: a field of a registered type has no optional form`);
    return { ...bare, type: readType(`Optional[${printType(given)}]`, path, options) };
  }
  const fitted = fitDefault(bare, fallback);
  if (typeof fitted === 'string') throw refuse(`${path}: ${fitted}`);
  return { ...bare, default: fitted.value };
}

function readText(value: JsonObject, key: string, path: string): string | undefined {
  const text = value.get(key);
  if (text === undefined || typeof text === 'string') return text;
  throw refuse(`${path}${pathStep(key)} must be a string`);
}

function readType(text: string, path: string, options: ParseOptions): Type {
  try {
    return parseType(text, options);
  } catch (error) {
    if (error instanceof SignatureError) throw new SignatureError(error.reason, `${path}.type: ${error.message}`);
    throw error;
  }
}

function readConstraints(value: JsonValue | undefined, path: string): Constraint[] {
  if (value === undefined || value === null) return [];
  if (isObject(value)) return [...value].map(([name, bound]) => readConstraint(name, bound, path));
  if (!isArray(value)) throw refuse(`${path}.constraints must be a list of name and value`);
  return value.map((constraint) => {
    if (!isObject(constraint)) throw refuse(`${path}.constraints must be a list of name and value`);
    return readConstraint(readText(constraint, 'name', `${path}.constraints`) ?? '', constraint.get('value'), path);
  });
}

function readConstraint(name: string, value: JsonValue | undefined, path: string): Constraint {
  if (!isConstraintName(name)) throw refuse(`${path}.constraints: unknown constraint \`${name.slice(0, 40)}\``);
  const bound = typeof value === 'string' ? numberOf(value) : value;
  if (!(bound instanceof JsonNumber)) throw refuse(`${path}.constraints: \`${name}\` must be a number`);
  return { name, value: bound };
}

/** The number that a decimal text writes, or nothing if it writes none. */
function numberOf(text: string): JsonValue | undefined {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

function refuse(problem: string): SignatureError {
  return new SignatureError('SIGNATURE_TYPE', problem);
}
