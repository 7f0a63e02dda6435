import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { type Reason, reasons } from '@signet/kit/error/reasons.ts';
import { commentOf } from '../../contract/comments.ts';
import type { Contract, HttpBinding, PublicMethod } from '../../contract/public-methods.ts';
import { requestExamples } from './examples.ts';
import { failuresOf, successesOf } from './failures.ts';
import { createSchemaBook, type Schema, type SchemaBook } from './schemas.ts';

/** One line of the list of routes. */
export type RouteLine = {
  readonly httpMethod: string;
  readonly path: string;
  readonly summary: string;
  readonly tag: string;
};

/** The description of the API over HTTP. */
export type OpenApi = {
  /** OpenAPI 3.1, as JSON text. */
  readonly text: string;
  readonly routes: readonly RouteLine[];
};

/** Describes every annotated method by OpenAPI 3.1: names, comments, examples and errors come from the descriptors. */
export function createOpenApi(contract: Contract): OpenApi {
  const book = createSchemaBook();
  const paths: Record<string, Record<string, unknown>> = {};
  const routes: RouteLine[] = [];
  for (const method of contract.methods) {
    method.bindings.forEach((binding, index) => {
      const path = binding.template.replace(
        /\{([a-z_]+)\}/g,
        (_, name: string) => `{${jsonNameOf(method.desc.input, name)}}`,
      );
      const operation = operationOf(contract, method, binding, index, book);
      paths[path] = { ...paths[path], [binding.httpMethod.toLowerCase()]: operation };
      routes.push({ httpMethod: binding.httpMethod, path, summary: operation.summary, tag: tagOf(method) });
    });
  }
  const services = [...new Map(contract.methods.map((method) => [tagOf(method), method.desc.parent])).entries()];
  const document = {
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'Signet',
      version: '1',
      summary: 'The place where DSPy programs live in production.',
      description: generalDescription,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ key: [] }],
    tags: services.map(([name, service]) => ({ name, description: commentOf(service) })),
    paths,
    components: {
      schemas: { ...book.components, Problem: problemSchema },
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'A key, `sgn_…`.' } },
    },
  };
  return { text: JSON.stringify(document), routes };
}

function operationOf(contract: Contract, method: PublicMethod, binding: HttpBinding, index: number, book: SchemaBook) {
  const comment = commentOf(method.desc);
  const { input } = method.desc;
  const variables = [...binding.template.matchAll(/\{([a-z_]+)\}/g)].map((one) => one[1]!);
  const inPath = input.fields.filter((field) => variables.includes(field.name));
  const rest = input.fields.filter((field) => !variables.includes(field.name));
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
  const example = requestExamples[method.name];
  return {
    required: required.length > 0,
    content: { 'application/json': { schema, ...(example === undefined ? {} : { example }) } },
  };
}

function responsesOf(contract: Contract, method: PublicMethod, binding: HttpBinding, book: SchemaBook) {
  const responses: Record<string, unknown> = {};
  for (const status of successesOf(method)) responses[status] = successOf(method, status, book);
  for (const [status, found] of failuresOf(method, binding, contract.methods)) {
    responses[status] = {
      description: found.join(', '),
      ...(status === 429 || status === 503 ? { headers: { 'Retry-After': retryAfter } } : {}),
      content: { 'application/problem+json': { schema: problemWith(found) } },
    };
  }
  return responses;
}

function successOf(method: PublicMethod, status: number, book: SchemaBook) {
  if (status === 204) return { description: 'Done.' };
  if (method.streams) {
    const description =
      'Server-sent events: the name of an event is the member of the message that is set, its data that member, its id the sequence.';
    const members = method.desc.output.fields.filter((field) => field.oneof !== undefined);
    const events = Object.fromEntries(members.map((field) => [field.name, book.field(field)]));
    // OpenAPI has no words for the events of a stream; ours stand beside.
    return { description, content: { 'text/event-stream': { schema: { type: 'string' }, 'x-events': events } } };
  }
  const schema = book.message(method.desc.output);
  const words = status === 201 ? 'Made.' : status === 202 ? 'Accepted.' : commentOf(method.desc.output) || 'Done.';
  const headers =
    status === 200 ? {} : { headers: { Location: { description: 'Where it is.', schema: { type: 'string' } } } };
  return { description: words, ...headers, content: { 'application/json': { schema } } };
}

function parameter(field: DescField, place: 'path' | 'query', book: SchemaBook) {
  const { description, ...schema } = book.field(field) as Schema & { description?: string };
  return {
    name: field.jsonName,
    in: place,
    required: place === 'path',
    ...(description === undefined || description === '' ? {} : { description }),
    schema: place === 'path' && schema.type === 'string' ? { ...schema, minLength: 1 } : schema,
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

function problemWith(found: readonly Reason[]): Schema {
  return { allOf: [{ $ref: '#/components/schemas/Problem' }, { properties: { reason: { enum: found } } }] };
}

const generalDescription = [
  'Every request needs a key: `Authorization: Bearer KEY`.',
  'Every request may say `X-Timeout-Ms`, the milliseconds (1 to 21600000) after which its caller stops waiting, and a W3C `traceparent`; every answer has one.',
  'Names are lowerCamelCase; snake_case is taken too. 64-bit integers are text in answers and either in requests. Payloads are plain JSON objects whose numbers keep their digits.',
  'Errors are problems (RFC 9457) with a `reason` for programs. The headers `RateLimit` and `RateLimit-Policy` say how many calls are left.',
].join('\n\n');

const retryAfter = { description: 'Seconds after which to try again.', schema: { type: 'integer', minimum: 1 } };

const problemSchema: Schema = {
  type: 'object',
  description: 'An error (RFC 9457).',
  required: ['type', 'title', 'status', 'detail', 'reason', 'metadata'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What to tell a person.' },
    reason: { type: 'string', description: 'What to tell a program.', enum: Object.keys(reasons) },
    metadata: {
      type: 'object',
      description: 'Every changing part of the detail.',
      additionalProperties: { type: 'string' },
    },
    violations: {
      type: 'array',
      description: 'What was wrong with which field.',
      items: {
        type: 'object',
        required: ['field', 'reason', 'description'],
        properties: { field: { type: 'string' }, reason: { type: 'string' }, description: { type: 'string' } },
      },
    },
    traceId: { type: 'string', pattern: '^[0-9a-f]{32}$' },
    retryAfterMs: { type: 'integer', minimum: 0 },
  },
};

function tagOf(method: PublicMethod): string {
  return method.desc.parent.name.replace(/Service$/, '');
}

function jsonNameOf(desc: DescMessage, name: string): string {
  return desc.fields.find((field) => field.name === name)?.jsonName ?? name;
}
