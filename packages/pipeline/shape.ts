import { isArray, isObject, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { printType } from '@signet/signature/print.ts';
import { admitsNone, type Field, type Type } from '@signet/signature/types.ts';
import { anyType } from './type-fit.ts';

/** What is known of a value before there is one: its type, or, for an object, its members. */
export type Shape =
  | { readonly kind: 'value'; readonly type: Type }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Shape>; readonly canBeNull: boolean };

/** Nothing is known. */
export const unknownShape: Shape = { kind: 'value', type: anyType };

/** The shape of an object of fields. */
export function shapeOfFields(fields: readonly Field[]): Shape {
  return objectShape(new Map(fields.map(({ name, type }) => [name, { kind: 'value' as const, type }])));
}

/** The shape of an object with these members. */
export function objectShape(members: ReadonlyMap<string, Shape>): Shape {
  return { kind: 'object', members, canBeNull: false };
}

/** The same shape, or null. */
export function orNull(shape: Shape): Shape {
  if (shape.kind === 'object') return { ...shape, canBeNull: true };
  return { kind: 'value', type: unionOf(shape.type, { kind: 'none' }) };
}

/** What is there if it is either of two. */
export function either(a: Shape, b: Shape): Shape {
  if (a.kind === 'value' && b.kind === 'value') return { kind: 'value', type: unionOf(a.type, b.type) };
  if (a.kind === 'object' && b.kind === 'object') {
    const members = new Map<string, Shape>();
    for (const name of [...a.members.keys(), ...b.members.keys()]) {
      const [inA, inB] = [a.members.get(name), b.members.get(name)];
      members.set(name, inA !== undefined && inB !== undefined ? either(inA, inB) : orNull(inA ?? inB ?? unknownShape));
    }
    return { kind: 'object', members, canBeNull: a.canBeNull || b.canBeNull };
  }
  return unknownShape;
}

/** The shape of a member of something: of nothing known nothing is known; undefined if it cannot be there. */
export function memberShape(shape: Shape, key: string | number): Shape | undefined {
  if (shape.kind === 'object') {
    const member = typeof key === 'string' ? shape.members.get(key) : undefined;
    return member !== undefined && shape.canBeNull ? orNull(member) : member;
  }
  const type = memberType(shape.type, key);
  return type === undefined ? undefined : { kind: 'value', type };
}

function memberType(type: Type, key: string | number): Type | undefined {
  switch (type.kind) {
    case 'any':
    case 'tensor':
      return anyType;
    case 'union': {
      const found = type.members.flatMap((member) => memberType(member, key) ?? []);
      if (found.length === 0) return undefined;
      const all = found.reduce(unionOf);
      return found.length === type.members.length ? all : unionOf(all, { kind: 'none' });
    }
    case 'dict':
      // Which keys and how many items there are is not known: what is missing is for the check of the run.
      return typeof key === 'string' ? (type.value ?? anyType) : undefined;
    case 'list':
    case 'set':
    case 'tuple_variadic':
      return typeof key === 'number' ? (type.item ?? anyType) : undefined;
    case 'tuple':
      return typeof key === 'number' ? type.items.at(key) : undefined;
    case 'embedding':
      return typeof key === 'number' ? { kind: 'float' } : undefined;
    default:
      return undefined;
  }
}

/** The type of a shape's values. */
export function typeOfShape(shape: Shape): Type {
  if (shape.kind === 'value') return shape.type;
  const dict: Type = { kind: 'dict' };
  return shape.canBeNull ? unionOf(dict, { kind: 'none' }) : dict;
}

/** The shape of a value that is there already. */
export function shapeOfValue(value: JsonValue): Shape {
  if (isObject(value)) {
    return objectShape(new Map([...value].map(([key, member]) => [key, shapeOfValue(member)])));
  }
  return { kind: 'value', type: typeOfValue(value) };
}

function typeOfValue(value: JsonValue): Type {
  if (value === null) return { kind: 'none' };
  if (typeof value === 'string') return { kind: 'str' };
  if (typeof value === 'boolean') return { kind: 'bool' };
  if (value instanceof JsonNumber) return { kind: value.isInteger ? 'int' : 'float' };
  if (!isArray(value)) return { kind: 'dict' };
  const [first, ...others] = value.map(typeOfValue);
  const isOne = first !== undefined && others.every((type) => printType(type) === printType(first));
  return isOne ? { kind: 'list', item: first } : { kind: 'list' };
}

/** The union of two types, flat and without repeats; `Any` swallows all but null. */
export function unionOf(a: Type, b: Type): Type {
  if (a.kind === 'any' || b.kind === 'any') return anyType;
  const members = new Map<string, Type>();
  for (const type of [a, b]) {
    for (const member of type.kind === 'union' ? type.members : [type]) members.set(printType(member), member);
  }
  const distinct = [...members.values()];
  return distinct.length === 1 ? distinct[0]! : { kind: 'union', members: distinct };
}

/** True if the value may be null. */
export function canBeNull(shape: Shape): boolean {
  return shape.kind === 'object' ? shape.canBeNull : shape.type.kind !== 'any' && admitsNone(shape.type);
}
