import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { type Reason, reasons } from '@signet/kit/error/reasons.ts';
import { commentOf } from '../../contract/comments.ts';
import type { Contract, HttpBinding, PublicMethod } from '../../contract/public-methods.ts';
import { failuresOf, successesOf } from './failures.ts';
import type { Schema, SchemaBook } from './schemas.ts';

/** Describes every answer of a method over HTTP by status: what it gives, what leads on from there, and each failure with its reasons. */
export function responsesOf(contract: Contract, method: PublicMethod, binding: HttpBinding, book: SchemaBook) {
  const responses: Record<string, unknown> = {};
  for (const status of successesOf(method)) responses[status] = successOf(contract, method, status, book);
  for (const [status, found] of failuresOf(method, binding, contract.methods)) {
    responses[status] = {
      description: found.join(', '),
      ...(status === 429 || status === 503 ? { headers: { 'Retry-After': retryAfter } } : {}),
      content: { 'application/problem+json': { schema: problemWith(found) } },
    };
  }
  return responses;
}

const downloadTypes = ['application/x-ndjson', 'text/csv', 'application/vnd.apache.parquet'];

function successOf(contract: Contract, method: PublicMethod, status: number, book: SchemaBook) {
  if (status === 204) return { description: 'Done.' };
  if (method.isDownload) {
    const content = Object.fromEntries(downloadTypes.map((type) => [type, {}]));
    return { description: 'The file, as it comes.', content };
  }
  if (method.streams && method.takesStream) {
    const description =
      'One answer a line, as they come. A failure after the first one is the last line: `{"error": …}` with the problem.';
    return { description, content: { 'application/x-ndjson': { schema: book.message(method.desc.output) } } };
  }
  if (method.streams) {
    const description =
      'Server-sent events: the name of an event is the member of the message that is set, its data that member, its id the sequence.';
    const members = method.desc.output.fields.filter((field) => field.oneof !== undefined);
    const events = members.map((field) => eventSchema(field, book));
    const schema = events.length > 1 ? { oneOf: events } : (events[0] ?? plainEvent(book.message(method.desc.output)));
    return { description, content: { 'text/event-stream': { schema } } };
  }
  const schema = book.message(method.desc.output);
  const words = status === 201 ? 'Made.' : status === 202 ? 'Accepted.' : commentOf(method.desc.output) || 'Done.';
  const headers =
    status === 200 ? {} : { headers: { Location: { description: 'Where it is.', schema: { type: 'string' } } } };
  const links = status === 200 ? {} : linksFrom(contract, method.desc.output);
  return {
    description: words,
    ...headers,
    content: { 'application/json': { schema } },
    ...(Object.keys(links).length === 0 ? {} : { links }),
  };
}

// What was made is named by its id in the paths of others: `Program` by `{program}`.
function linksFrom(contract: Contract, made: DescMessage): Record<string, unknown> {
  const name = `${made.name.charAt(0).toLowerCase()}${made.name.slice(1)}`;
  if (!made.fields.some((field) => field.name === 'id')) return {};
  const following = contract.methods.filter(
    ({ desc, bindings }) =>
      bindings.length > 0 &&
      desc.input.fields.some((field) => field.jsonName === name && bindings[0]!.template.includes(`{${field.name}}`)),
  );
  return Object.fromEntries(
    following.map((method) => [
      method.name,
      { operationId: method.name, parameters: { [name]: '$response.body#/id' } },
    ]),
  );
}

// One event as its lines say it: OpenAPI 3.1 has no other words for streams, and 3.2 says it in the same way.
function eventSchema(field: DescField, book: SchemaBook): Schema {
  const { description, ...contentSchema } = book.field(field) as Schema & { description?: string };
  return {
    type: 'object',
    ...(description === undefined || description === '' ? {} : { description }),
    required: ['event', 'data'],
    properties: {
      event: { const: field.jsonName },
      id: { type: 'string', pattern: '^[0-9]+$' },
      data: { type: 'string', contentMediaType: 'application/json', contentSchema },
    },
  };
}

// An event without a name: its data is the whole message.
function plainEvent(contentSchema: Schema): Schema {
  const data = { type: 'string', contentMediaType: 'application/json', contentSchema };
  return { type: 'object', required: ['data'], properties: { data } };
}

function problemWith(found: readonly Reason[]): Schema {
  return { allOf: [{ $ref: '#/components/schemas/Problem' }, { properties: { reason: { enum: found } } }] };
}

const retryAfter = { description: 'Seconds after which to try again.', schema: { type: 'integer', minimum: 1 } };

/** The schema of every failure: a problem (RFC 9457). */
export const problemSchema: Schema = {
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
