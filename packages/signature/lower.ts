import type { Field, SignatureSpec, Type } from './types.ts';
import { writeJson } from './write-json.ts';

/** The kinds of types that DSPy takes as data. */
export type LoweredKind =
  | 'STR'
  | 'INT'
  | 'FLOAT'
  | 'BOOL'
  | 'ANY'
  | 'NONE'
  | 'LIST'
  | 'DICT'
  | 'TUPLE'
  | 'TUPLE_VARIADIC'
  | 'SET'
  | 'UNION'
  | 'LITERAL'
  | 'BARE_DICT';

/** A Python type as data; no arguments means unsaid. */
export interface LoweredType {
  readonly kind: LoweredKind;
  readonly args: readonly LoweredType[];
  /** The members of a literal, each as JSON text. */
  readonly valuesJson: readonly string[];
}

/** A field as DSPy builds it; empty texts mean none. */
export interface LoweredField {
  readonly name: string;
  readonly output: boolean;
  readonly type: LoweredType;
  readonly description: string;
  readonly constraints: readonly { readonly name: string; readonly value: string }[];
  readonly defaultJson: string;
}

/**
 * Turns a signature into fields that DSPy accepts, inputs first. `dict` becomes `dict[str, Any]` (a bare one stays), `probability` a float from
 * 0 to 1, `embedding` a `list[float]` (of its dimension's length), `tensor` a `dict[str, Any]`.
 */
export function lowerSpec(spec: SignatureSpec): LoweredField[] {
  return [
    ...spec.inputs.map((field) => lowerField(field, false)),
    ...spec.outputs.map((field) => lowerField(field, true)),
  ];
}

function lowerField(field: Field, output: boolean): LoweredField {
  return {
    name: field.name,
    output,
    type: lowerType(field.type),
    description: field.description ?? '',
    constraints: lowerConstraints(field),
    defaultJson: field.default === undefined ? '' : writeJson(field.default),
  };
}

/** Turns one type into what DSPy accepts. */
export function lowerType(type: Type): LoweredType {
  switch (type.kind) {
    case 'str':
    case 'int':
    case 'float':
    case 'bool':
    case 'any':
    case 'none':
      return lowered(type.kind.toUpperCase() as LoweredKind);
    case 'list':
      return lowered('LIST', type.item ? [lowerType(type.item)] : []);
    case 'set':
      return lowered('SET', type.item ? [lowerType(type.item)] : []);
    case 'tuple_variadic':
      return type.item ? lowered('TUPLE_VARIADIC', [lowerType(type.item)]) : lowered('TUPLE');
    case 'tuple':
      return lowered('TUPLE', type.items.map(lowerType));
    case 'dict':
      if (type.bare) return lowered('BARE_DICT');
      return lowered('DICT', [
        type.key ? lowerType(type.key) : lowered('STR'),
        type.value ? lowerType(type.value) : lowered('ANY'),
      ]);
    case 'tensor':
      return lowered('DICT', [lowered('STR'), lowered('ANY')]);
    case 'probability':
      return lowered('FLOAT');
    case 'embedding':
      return lowered('LIST', [lowered('FLOAT')]);
    case 'union':
      return lowerUnion(type.members.map(lowerType));
    case 'literal':
      return { kind: 'LITERAL', args: [], valuesJson: type.members.map(writeJson) };
  }
}

function lowered(kind: LoweredKind, args: readonly LoweredType[] = []): LoweredType {
  return { kind, args, valuesJson: [] };
}

// Two members may become one type: `float | probability` is a float.
function lowerUnion(members: readonly LoweredType[]): LoweredType {
  const distinct = new Map(members.map((member) => [JSON.stringify(member), member]));
  return distinct.size === 1 ? members[0]! : lowered('UNION', [...distinct.values()]);
}

function lowerConstraints({ type, constraints, infNan }: Field): { name: string; value: string }[] {
  const own: { name: string; value: string }[] = constraints.map(({ name, value }) => ({ name, value: value.text }));
  if (infNan) own.splice(infNan.before, 0, { name: 'allow_inf_nan', value: String(infNan.allowed) });
  if (type.kind === 'probability') {
    const has = (...names: string[]) => own.some(({ name }) => names.includes(name));
    if (!has('gt', 'ge')) own.push({ name: 'ge', value: '0' });
    if (!has('lt', 'le')) own.push({ name: 'le', value: '1' });
  }
  if (type.kind === 'embedding' && type.dimension !== undefined) {
    own.push(
      { name: 'min_length', value: String(type.dimension) },
      { name: 'max_length', value: String(type.dimension) },
    );
  }
  return own;
}
