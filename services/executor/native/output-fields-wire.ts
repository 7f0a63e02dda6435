import type { PlanField, PlanType, PlanTypeKind } from '@signet/predict/plan/plan.ts';
import { writeOutputs } from '@signet/predict/python/write-outputs.ts';
import { type OutputField, type Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

const known = new WeakMap<readonly PlanField[], readonly OutputField[]>();

/** The outputs of a predictor as the LM client needs them: for showing text and for endpoints led by a grammar or schema. */
export function outputFieldsOf(fields: readonly PlanField[]): readonly OutputField[] {
  let made = known.get(fields);
  if (made === undefined) {
    made = fields.map(({ name, type }) => ({ name, text: type.kind === 'str', type: typeOf(type) }));
    known.set(fields, made);
  }
  return made;
}

function typeOf({ kind, args, values }: PlanType): Type {
  return {
    kind: kinds[kind],
    args: args.map(typeOf),
    valuesJson: values.map((value) => Buffer.from(writeOutputs(new Map([['v', value]])).slice(5, -1))),
  };
}

const kinds: Readonly<Record<PlanTypeKind, TypeKind>> = {
  str: TypeKind.TYPE_KIND_STR,
  int: TypeKind.TYPE_KIND_INT,
  float: TypeKind.TYPE_KIND_FLOAT,
  bool: TypeKind.TYPE_KIND_BOOL,
  any: TypeKind.TYPE_KIND_ANY,
  none: TypeKind.TYPE_KIND_NONE,
  list: TypeKind.TYPE_KIND_LIST,
  dict: TypeKind.TYPE_KIND_DICT,
  tuple: TypeKind.TYPE_KIND_TUPLE,
  tuple_variadic: TypeKind.TYPE_KIND_TUPLE_VARIADIC,
  set: TypeKind.TYPE_KIND_SET,
  union: TypeKind.TYPE_KIND_UNION,
  literal: TypeKind.TYPE_KIND_LITERAL,
};
