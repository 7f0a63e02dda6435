import { JsonNumber, type JsonObject, type JsonValue } from './json.ts';
import { type Constraint, type Field, isOptional, type Type, withoutNone } from './types.ts';

/** How a schema is written. */
export interface SchemaOptions {
  /** True (the default): other properties are refused. */
  readonly strictMode?: boolean;
}

/** The JSON Schema (2020-12) of one side of a signature: an object with a property a field, bounds in their own digits. */
export function toJsonSchema(fields: readonly Field[], options: SchemaOptions = {}): JsonObject {
  return new Map<string, JsonValue>([
    ['$schema', 'https://json-schema.org/draft/2020-12/schema'],
    ['type', 'object'],
    ['properties', new Map(fields.map((field) => [field.name, fieldSchema(field)]))],
    ['required', fields.filter((field) => !isOptional(field)).map((field) => field.name)],
    ...((options.strictMode ?? true) ? ([['additionalProperties', false]] as const) : []),
  ]);
}

function fieldSchema(field: Field): JsonObject {
  const schema = new Map(typeSchema(field.type));
  const target = withoutNone(field.type);
  for (const constraint of field.constraints) schema.set(keywordOf(constraint, target), constraint.value);
  if (field.description !== undefined) schema.set('description', field.description);
  if (field.default !== undefined) schema.set('default', field.default);
  return schema;
}

const numberKeywords: Record<string, string> = {
  gt: 'exclusiveMinimum',
  ge: 'minimum',
  lt: 'exclusiveMaximum',
  le: 'maximum',
  multiple_of: 'multipleOf',
};

function keywordOf({ name }: Constraint, type: Type): string {
  const keyword = numberKeywords[name];
  if (keyword) return keyword;
  const unit = type.kind === 'str' ? 'Length' : type.kind === 'dict' ? 'Properties' : 'Items';
  return `${name === 'min_length' ? 'min' : 'max'}${unit}`;
}

function typeSchema(type: Type): JsonObject {
  switch (type.kind) {
    case 'str':
      return object({ type: 'string' });
    case 'int':
      return object({ type: 'integer' });
    case 'float':
      return object({ type: 'number' });
    case 'bool':
      return object({ type: 'boolean' });
    case 'any':
      return object({});
    case 'none':
      return object({ type: 'null' });
    case 'list':
    case 'tuple_variadic':
      return object({ type: 'array', ...(type.item && { items: typeSchema(type.item) }) });
    case 'set':
      return object({ type: 'array', ...(type.item && { items: typeSchema(type.item) }), uniqueItems: true });
    case 'dict':
      return object({ type: 'object', ...(type.value && { additionalProperties: typeSchema(type.value) }) });
    case 'tuple':
      return tupleSchema(type.items);
    case 'union':
      return unionSchema(type.members.map(typeSchema));
    case 'literal':
      return object({ enum: type.members });
    case 'probability':
      return object({ type: 'number', minimum: count(0), maximum: count(1) });
    case 'embedding':
      return embeddingSchema(type.dimension);
    case 'tensor':
      return tensorSchema();
  }
}

/** Members that only name a type become a list of names; others stand side by side. */
function unionSchema(members: readonly JsonObject[]): JsonObject {
  const present = members.filter((member) => member.get('type') !== 'null');
  const single = present[0];
  const name = single?.get('type');
  // `X | None` stays one schema, so that the bounds of the field stand beside its type.
  if (present.length === 1 && members.length === 2 && single && typeof name === 'string') {
    return new Map([...single, ['type', [name, 'null']]]);
  }
  return object({ anyOf: members });
}

function tupleSchema(items: readonly Type[]): JsonObject {
  const length = count(items.length);
  return object({
    type: 'array',
    prefixItems: items.map(typeSchema),
    items: false,
    minItems: length,
    maxItems: length,
  });
}

function embeddingSchema(dimension: number | undefined): JsonObject {
  const schema = { type: 'array', items: object({ type: 'number' }) };
  if (dimension === undefined) return object(schema);
  return object({ ...schema, minItems: count(dimension), maxItems: count(dimension) });
}

function tensorSchema(): JsonObject {
  const size = object({ type: 'integer', minimum: count(0) });
  const properties = object({
    shape: object({ type: 'array', items: size, maxItems: count(16) }),
    dtype: object({ type: 'string' }),
    data: object({ type: 'array' }),
    bytes: object({ type: 'string', contentEncoding: 'base64' }),
  });
  return object({
    type: 'object',
    properties,
    required: ['shape', 'dtype'],
    oneOf: [object({ required: ['data'] }), object({ required: ['bytes'] })],
    additionalProperties: false,
  });
}

function count(value: number): JsonNumber {
  return new JsonNumber(String(value));
}

function object(members: Record<string, JsonValue>): JsonObject {
  return new Map(Object.entries(members));
}
