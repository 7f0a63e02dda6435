import type { DescField, DescMessage, DescService } from '@bufbuild/protobuf';
import { commentOf } from '../../contract/comments.ts';
import type { Contract, HttpBinding, PublicMethod } from '../../contract/public-methods.ts';
import { problemSchema, responsesOf } from './answers.ts';
import { parameterExamples, requestExamples } from './examples.ts';
import { successesOf } from './failures.ts';
import { createSchemaBook, type Schema, type SchemaBook } from './schemas.ts';

/** The description of the API over HTTP. */
export type OpenApi = {
  /** OpenAPI 3.1, as JSON text. */
  readonly text: string;
};

/** Describes every annotated method by OpenAPI 3.1: names, comments, examples and errors come from the descriptors. */
export function createOpenApi(contract: Contract): OpenApi {
  const book = createSchemaBook();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const method of contract.methods) {
    method.bindings.forEach((binding, index) => {
      const path = binding.template.replace(
        /\{([a-z_]+)\}/g,
        (_, name: string) => `{${jsonNameOf(method.desc.input, name)}}`,
      );
      paths[path] = {
        ...paths[path],
        [binding.httpMethod.toLowerCase()]: operationOf(contract, method, binding, index, book),
      };
    });
  }
  const services = [...new Map(contract.methods.map((method) => [tagOf(method), method.desc.parent])).entries()];
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Signet',
      version: '1',
      summary: 'The place where DSPy programs live in production.',
      description: generalDescription,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    // What one meets in the first minute comes first, as among the examples.
    tags: services.toSorted(byExample).map(([name, service]) => ({ name, description: commentOf(service) })),
    paths,
    components: {
      schemas: { ...book.components, Problem: problemSchema },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key, `sgn_…`.' } },
    },
  };
  return { text: JSON.stringify(document) };
}

function operationOf(contract: Contract, method: PublicMethod, binding: HttpBinding, index: number, book: SchemaBook) {
  const comment = commentOf(method.desc);
  const { input } = method.desc;
  const variables = [...binding.template.matchAll(/\{([a-z_]+)\}/g)].map((one) => one[1]!);
  const inPath = input.fields.filter((field) => variables.includes(field.name));
  const { bodyField } = binding;
  const rest = input.fields.filter((field) => !variables.includes(field.name) && field !== bodyField);
  const parameters = [
    ...inPath.map((field) => parameter(field, 'path', book)),
    ...(binding.hasBody ? [] : rest.filter(inQuery).map((field) => parameter(field, 'query', book))),
    ...headerParameters(rest, successesOf(method)),
  ];
  return {
    operationId: index === 0 ? method.name : `${method.name}${index + 1}`,
    summary: /^[^.]*\./.exec(comment)?.[0] ?? method.name,
    description: comment,
    tags: [tagOf(method)],
    parameters,
    ...(binding.hasBody ? { requestBody: bodyOf(method, rest, book) } : {}),
    ...(bodyField === undefined ? {} : { requestBody: streamedBodyOf(method, bodyField, book) }),
    responses: responsesOf(contract, method, binding, book),
  };
}

function bodyOf(method: PublicMethod, fields: readonly DescField[], book: SchemaBook) {
  const required = fields.filter((field) => /\bRequired\.$/.test(commentOf(field))).map((field) => field.jsonName);
  const schema = {
    type: 'object',
    description: commentOf(method.desc.input),
    properties: Object.fromEntries(fields.map((field) => [field.jsonName, book.field(field)])),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
  const example = inBody(requestExamples[method.name], fields, required);
  return {
    required: required.length > 0,
    content: { 'application/json': { schema, ...(example === undefined ? {} : { example }) } },
  };
}

// Where a method has several paths, what one of them names is not in the body besides.
function inBody(example: unknown, fields: readonly DescField[], required: readonly string[]): unknown {
  if (typeof example !== 'object' || example === null) return example;
  const names = new Set(fields.flatMap((field) => [field.jsonName, field.name]));
  const missing = required.filter((name) => !(name in example) && name in parameterExamples);
  return Object.fromEntries([
    ...missing.map((name) => [name, parameterExamples[name]]),
    ...Object.entries(example).filter(([name]) => names.has(name)),
  ]);
}

// A body of any length: one JSON object a line, or a file. OpenAPI 3.1 has no words for lines; the schema is that of one of them.
function streamedBodyOf(method: PublicMethod, field: DescField, book: SchemaBook) {
  const { description, ...schema } = book.field(field) as Schema & { description?: string };
  const example = requestExamples[method.name];
  const shown = example === undefined ? {} : { example };
  if (field.fieldKind === 'message')
    return {
      description: `One a line: ${description ?? ''}`,
      required: true,
      content: { 'application/x-ndjson': { schema, ...shown } },
    };
  return {
    description: description ?? '',
    required: true,
    content: {
      'application/x-ndjson': { schema: { type: 'string' }, ...shown },
      'text/csv': { schema: { type: 'string' } },
    },
  };
}

function parameter(field: DescField, place: 'path' | 'query', book: SchemaBook) {
  const { description, ...schema } = book.field(field) as Schema & { description?: string };
  return {
    name: field.jsonName,
    in: place,
    required: place === 'path',
    ...(description === undefined || description === '' ? {} : { description }),
    schema: place === 'path' && schema.type === 'string' ? { ...schema, minLength: 1 } : schema,
    ...(field.name in parameterExamples ? { example: parameterExamples[field.name] } : {}),
  };
}

function headerParameters(fields: readonly DescField[], successes: readonly number[]) {
  const has = (name: string) => fields.some((field) => field.name === name);
  const header = (name: string, description: string, schema: Schema) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema,
  });
  return [
    ...(has('request_id')
      ? [header('Idempotency-Key', 'The same as `requestId`.', { type: 'string', maxLength: 128 })]
      : []),
    ...(has('etag') ? [header('If-Match', 'The same as `etag`.', { type: 'string' })] : []),
    ...(has('after_sequence')
      ? [header('Last-Event-ID', 'The same as `afterSequence`.', { type: 'string', pattern: '^[0-9]{1,18}$' })]
      : []),
    ...(successes.includes(200) && successes.includes(202)
      ? [header('Prefer', '`respond-async` answers 202 at once.', { type: 'string', examples: ['respond-async'] })]
      : []),
  ];
}

function inQuery(field: DescField): boolean {
  if (field.fieldKind === 'map') return false;
  const name = field.message?.typeName;
  return name === undefined || name === 'google.protobuf.Timestamp' || name === 'google.protobuf.Duration';
}

const generalDescription = [
  'Every request needs a key: `Authorization: Bearer KEY`.',
  'Every request may say `X-Timeout-Ms`, the milliseconds (1 to 21600000) after which its caller stops waiting, and a W3C `traceparent`; every answer has one.',
  'Names are lowerCamelCase; snake_case is taken too. 64-bit integers are text in answers and either in requests. Payloads are plain JSON objects whose numbers keep their digits.',
  'Errors are problems (RFC 9457) with a `reason` for programs. The headers `RateLimit` and `RateLimit-Policy` say how many calls are left.',
].join('\n\n');

const exampleNames = Object.keys(requestExamples);

function byExample([, one]: [string, DescService], [, other]: [string, DescService]): number {
  return firstExample(one) - firstExample(other);
}

function firstExample(service: DescService): number {
  const places = service.methods.map((method) => exampleNames.indexOf(method.name)).filter((place) => place >= 0);
  return Math.min(...places, exampleNames.length);
}

function tagOf(method: PublicMethod): string {
  return method.desc.parent.name.replace(/Service$/, '');
}

function jsonNameOf(desc: DescMessage, name: string): string {
  return desc.fields.find((field) => field.name === name)?.jsonName ?? name;
}
