import { type OutputField, type Type, TypeKind } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';

type Schema = Record<string, unknown>;

/** The JSON Schema of the object that DSPy's JSONAdapter asks for: every output required, in order, and nothing else. */
export function outputSchema(outputFields: readonly OutputField[]): Schema {
  return {
    type: 'object',
    properties: Object.fromEntries(outputFields.map((field) => [field.name, schemaOf(field.type)])),
    required: outputFields.map((field) => field.name),
    additionalProperties: false,
  };
}

function schemaOf(type: Type | undefined): Schema {
  const args = type?.args ?? [];
  switch (type?.kind) {
    case TypeKind.TYPE_KIND_STR:
      return { type: 'string' };
    case TypeKind.TYPE_KIND_INT:
      return { type: 'integer' };
    case TypeKind.TYPE_KIND_FLOAT:
      return { type: 'number' };
    case TypeKind.TYPE_KIND_BOOL:
      return { type: 'boolean' };
    case TypeKind.TYPE_KIND_NONE:
      return { type: 'null' };
    case TypeKind.TYPE_KIND_LITERAL:
      return { enum: type.valuesJson.map((value) => JSON.parse(value.toString()) as unknown) };
    case TypeKind.TYPE_KIND_UNION:
      return { anyOf: args.map(schemaOf) };
    case TypeKind.TYPE_KIND_LIST:
    case TypeKind.TYPE_KIND_SET:
    case TypeKind.TYPE_KIND_TUPLE_VARIADIC:
      return { type: 'array', items: schemaOf(args[0]) };
    case TypeKind.TYPE_KIND_TUPLE:
      return { type: 'array', prefixItems: args.map(schemaOf), minItems: args.length, maxItems: args.length };
    case TypeKind.TYPE_KIND_DICT:
      return { type: 'object', additionalProperties: schemaOf(args[1]) };
    default:
      return {};
  }
}
