import { type DescEnum, type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { commentOf } from '../../contract/comments.ts';
import { shortNames, synonymsOf } from '../codec/enum-name.ts';

/** A JSON Schema (2020-12) as OpenAPI 3.1 takes it. */
export type Schema = { readonly [key: string]: unknown };

/** Collects the schemas of messages and enums that a document refers to. */
export type SchemaBook = {
  /** The schema of a message: a reference, or the form that its JSON has. */
  message(desc: DescMessage): Schema;
  /** The schema of a field, described. */
  field(field: DescField): Schema;
  /** Every schema that was referred to, by name. */
  readonly components: Record<string, Schema>;
};

const wellKnown: Readonly<Record<string, Schema>> = {
  'signet.v1.Payload': {
    type: 'object',
    description: 'A JSON object; numbers keep their digits.',
    additionalProperties: true,
  },
  'google.protobuf.Struct': { type: 'object', additionalProperties: true },
  'google.protobuf.Value': {},
  'google.protobuf.ListValue': { type: 'array', items: {} },
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]{1,9})?s$' },
  'google.protobuf.FieldMask': { type: 'string', description: 'Names of fields with commas between.' },
  'google.rpc.Status': { $ref: '#/components/schemas/Problem' },
};

/** Opens an empty book. */
export function createSchemaBook(): SchemaBook {
  const components: Record<string, Schema> = {};
  const message = (desc: DescMessage): Schema => {
    const known = wellKnown[desc.typeName];
    if (known !== undefined) return known;
    if (components[desc.name] === undefined) {
      components[desc.name] = {};
      const properties = Object.fromEntries(desc.fields.map((one) => [one.jsonName, field(one)]));
      components[desc.name] = { type: 'object', description: commentOf(desc), properties };
    }
    return { $ref: `#/components/schemas/${desc.name}` };
  };
  const enumeration = (desc: DescEnum): Schema => {
    components[desc.name] ??= {
      type: 'string',
      description: [
        commentOf(desc),
        'Answers hold the full names.',
        ...desc.values.map((value) => `\`${value.name}\`: ${commentOf(value)}`),
      ].join('\n\n'),
      // Answers use the full names; requests may use any.
      enum: [...desc.values.map((value) => value.name), ...shortNames(desc), ...synonymsOf(desc)],
    };
    return { $ref: `#/components/schemas/${desc.name}` };
  };
  const single = (one: DescField): Schema => {
    if (one.message !== undefined) return message(one.message);
    if (one.enum !== undefined) return enumeration(one.enum);
    return scalarSchema(one.scalar ?? ScalarType.STRING);
  };
  const field = (one: DescField): Schema => {
    const description = commentOf(one);
    if (one.fieldKind === 'list') return { type: 'array', description, items: single(one) };
    if (one.fieldKind === 'map') return { type: 'object', description, additionalProperties: single(one) };
    return { ...bounded(single(one), description), ...(description === '' ? {} : { description }) };
  };
  return { message, field, components };
}

// The bounds that comments tell in fixed words.
function bounded(schema: Schema, comment: string): Schema {
  const lengthMax = /\bat most ([0-9,]+) (?:printable )?characters\b/.exec(comment)?.[1];
  if (schema.type === 'string' && lengthMax !== undefined && schema.contentEncoding === undefined) {
    return { ...schema, maxLength: Number(lengthMax.replaceAll(',', '')) };
  }
  if (!/\bnegative is refused\b/.test(comment)) return schema;
  return { ...schema, minimum: 0, ...(schema.pattern === undefined ? {} : { pattern: '^[0-9]{1,19}$' }) };
}

function scalarSchema(type: ScalarType): Schema {
  switch (type) {
    case ScalarType.STRING:
      return { type: 'string' };
    case ScalarType.BOOL:
      return { type: 'boolean' };
    case ScalarType.BYTES:
      return { type: 'string', contentEncoding: 'base64' };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: 'number', format: 'double' };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: 'integer', format: 'int32' };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: 'integer', format: 'int32', minimum: 0 };
    default:
      // 64-bit integers are text in answers, and both are taken.
      return { type: ['string', 'integer'], format: 'int64', pattern: '^-?[0-9]{1,20}$' };
  }
}
