import type { JsonNumber, JsonValue } from './json.ts';

/** What a signature says: its inputs and outputs, each in declared order. */
export interface SignatureSpec {
  readonly inputs: readonly Field[];
  readonly outputs: readonly Field[];
}

/** One field: a name that DSPy accepts, a type, and what narrows or explains its values. */
export interface Field {
  readonly name: string;
  readonly type: Type;
  /** The registered type by which it was declared; `type` is then the type on which that one is built. */
  readonly registered?: string;
  /** What people wrote about it; never empty. */
  readonly description?: string;
  /** Bounds in declared order, each name at most once. */
  readonly constraints: readonly Constraint[];
  /** DSPy's `allow_inf_nan`, which only the prompt says: our values are never infinite. Comes from Python alone. */
  readonly infNan?: InfNanNote;
  /** The value of a field that is left out; fits the type and the constraints. */
  readonly default?: JsonValue;
}

/** What `allow_inf_nan` says, and before how many of the field's constraints it was written. */
export interface InfNanNote {
  readonly allowed: boolean;
  readonly before: number;
}

/** A bound on a field's value; `value` keeps the digits it was written with. */
export interface Constraint {
  readonly name: ConstraintName;
  readonly value: JsonNumber;
}

/** The constraints, in pydantic's names. */
export const constraintNames = ['gt', 'ge', 'lt', 'le', 'min_length', 'max_length', 'multiple_of'] as const;

/** The name of a constraint. */
export type ConstraintName = (typeof constraintNames)[number];

/** A member of a `Literal`: text, an integer, a truth value or `None`. */
export type LiteralMember = string | boolean | null | JsonNumber;

/** A type without arguments. */
export type PlainKind = 'str' | 'int' | 'float' | 'bool' | 'any' | 'none' | 'probability' | 'tensor';

/**
 * The type of a field's values. A container without arguments holds anything; `dict` alone is `dict[str, Any]`, unless it
 * comes from Python as `bare`, which prompts show as it was written.
 * Unions are flat, without repeats, and have at least two members in declared order.
 */
export type Type =
  | { readonly kind: PlainKind }
  | { readonly kind: 'list' | 'set' | 'tuple_variadic'; readonly item?: Type }
  | { readonly kind: 'dict'; readonly key?: Type; readonly value?: Type; readonly bare?: true }
  | { readonly kind: 'tuple'; readonly items: readonly Type[] }
  | { readonly kind: 'union'; readonly members: readonly Type[] }
  | { readonly kind: 'literal'; readonly members: readonly LiteralMember[] }
  | { readonly kind: 'embedding'; readonly dimension?: number };

/** The types that machine learning adds; each can be turned off. */
export const mlTypeNames = ['embedding', 'probability', 'tensor'] as const;

/** The name of an ML type. */
export type MlTypeName = (typeof mlTypeNames)[number];

/** True if `None` is a value of the type, so that a field of it may be left out. */
export function admitsNone(type: Type): boolean {
  if (type.kind === 'union') return type.members.some(admitsNone);
  return type.kind === 'none' || (type.kind === 'literal' && type.members.includes(null));
}

/** The type without `None`: `X` of `X | None`, otherwise the type itself. */
export function withoutNone(type: Type): Type {
  if (type.kind !== 'union') return type;
  const members = type.members.filter((member) => member.kind !== 'none');
  return members.length === 1 ? members[0]! : type;
}

/** True if a caller may leave the field out: it has a default, or its type admits `None`, which then stands for it. */
export function isOptional(field: Field): boolean {
  return field.default !== undefined || admitsNone(field.type);
}
