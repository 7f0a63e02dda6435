import { JsonError, type JsonValue, jsonFromPlain, plainFromJson } from './json.ts';
import type { Type } from './types.ts';

/**
 * A type that the operator registers. `validate` gets plain JSON data and answers `true`, or says what is wrong; `convert` makes the
 * value that engines see of one that is valid, and gives its own results back unchanged. Values have the form of `base` before and after.
 */
export interface FieldTypeDefinition {
  /** As specifications write it, `^[A-Z][A-Za-z0-9]{0,63}$`. */
  readonly name: string;
  /** The type on which it is built, `str` unless said. */
  readonly base?: string;
  readonly description?: string;
  validate(value: unknown): boolean | string;
  convert(value: unknown): unknown;
}

/** A registered type as fields use it. */
export interface RegisteredType {
  readonly name: string;
  readonly base: Type;
  readonly baseText: string;
  readonly description: string;
  /** Checks and converts a value of the base type; a text says what is wrong. */
  apply(value: JsonValue): { readonly value: JsonValue } | string;
}

const registered = new Map<string, RegisteredType>();
const form = /^[A-Z][A-Za-z0-9]{0,63}$/;
const taken = ['Any', 'List', 'Set', 'Dict', 'Tuple', 'Optional', 'Union', 'Literal', 'None', 'True', 'False'];
const problemMax = 200;

/** The registered type of a name. */
export function findFieldType(name: string): RegisteredType | undefined {
  return registered.get(name);
}

/** All registered types, in the order in which they came. */
export function registeredFieldTypes(): RegisteredType[] {
  return [...registered.values()];
}

/** Forgets all registered types; for tests. */
export function forgetFieldTypes(): void {
  registered.clear();
}

/**
 * Registers types for the whole process, at its start: what a signature means must not change while it runs. `readBase` reads the text
 * of a type. Throws TypeError for what is no definition.
 */
export function registerFieldTypes(definitions: readonly unknown[], readBase: (text: string) => Type): void {
  for (const definition of definitions) {
    const { name, base = 'str', description = '', validate, convert } = readDefinition(definition);
    if (registered.has(name)) throw new TypeError(`the field type ${name} is registered twice`);
    const apply = (value: JsonValue): { readonly value: JsonValue } | string => {
      try {
        const verdict = validate(plainFromJson(value));
        if (verdict !== true)
          return typeof verdict === 'string' && verdict !== '' ? verdict.slice(0, problemMax) : `is no ${name}`;
        return { value: jsonFromPlain(convert(plainFromJson(value))) };
      } catch (error) {
        // What an operator's code throws may quote the value; a caller learns only that it does not fit.
        return error instanceof JsonError ? 'converts to what is no JSON value' : `is no ${name}`;
      }
    };
    registered.set(name, { name, base: readBase(base), baseText: base, description, apply });
  }
}

/** The definitions among what a module exports: every export that is one, or a list of them. Throws TypeError if there is none. */
export function fieldTypesOf(exports: Readonly<Record<string, unknown>>): unknown[] {
  const found = Object.values(exports).flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]));
  const definitions = found.filter((value) => typeof value === 'object' && value !== null && 'validate' in value);
  if (definitions.length === 0) throw new TypeError('it exports no field type: {name, validate, convert}');
  return definitions;
}

function readDefinition(value: unknown): FieldTypeDefinition {
  if (typeof value !== 'object' || value === null) throw new TypeError('a field type is an object');
  const definition = value as FieldTypeDefinition;
  const { name, base, description } = definition;
  if (typeof name !== 'string' || !form.test(name)) throw new TypeError(`the name of a field type must match ${form}`);
  if (taken.includes(name)) throw new TypeError(`${name} is a type of the language`);
  if (base !== undefined && typeof base !== 'string') throw new TypeError(`${name}: base must be the text of a type`);
  if (description !== undefined && typeof description !== 'string')
    throw new TypeError(`${name}: description must be a text`);
  if (typeof definition.validate !== 'function' || typeof definition.convert !== 'function') {
    throw new TypeError(`${name}: validate and convert must be functions`);
  }
  return definition;
}
