import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { messageLimitBytes, tooLarge } from '@signet/kit/grpc/deserialize.ts';
import { isObject, JsonError, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { Faults } from './codec/faults.ts';
import { messageWriter, writeMessage } from './codec/json-to-wire.ts';
import { readQuery } from './query.ts';
import type { Match } from './routes.ts';

/** What came in over HTTP. */
export type HttpRequest = {
  readonly match: Match;
  /** The raw query string, without `?`. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer | undefined;
};

/** A request as the owner takes it, with the object that the caller wrote: errors speak in its spelling. */
export type RequestMessage = { readonly bytes: Buffer; readonly written: JsonObject };

const emptyObject: JsonObject = new Map();

/**
 * Makes the request message out of path, query, body and headers. Throws INVALID_REQUEST with every fault at once, and
 * PAYLOAD_TOO_LARGE; a Payload keeps its digits.
 */
export function readRequestMessage(request: HttpRequest): RequestMessage {
  const { route, params } = request.match;
  const desc = route.method.desc.input;
  const faults = new Faults();
  const body = readBody(request.body, route.binding.hasBody);
  // With a body of `*` nothing is left for the query.
  const { hasBody, bodyField } = route.binding;
  const besides = bodyField === undefined ? route.variables : [...route.variables, bodyField.name];
  const taken = hasBody ? desc.fields.map((field) => field.name) : besides;
  const query = readQuery(desc, request.query, taken, faults);
  const written = route.binding.hasBody ? body : query;

  const writer = messageWriter(desc);
  const out = takeWriter();
  writeMessage(writer, pathObject(desc, params, written, faults), out, faults);
  writeMessage(writer, written, out, faults);
  const extra = fromHeaders(desc, request.headers, written, faults);
  if (bodyField?.fieldKind === 'scalar') addContentType(desc, request.headers, written, extra);
  addUpdateMask(desc, route.variables, written, extra);
  if (extra.size > 0) writeMessage(writer, extra, out, faults);
  faults.done();

  const made = out.finish();
  idle = made.length > keptBytesMax ? undefined : out;
  if (made.length > messageLimitBytes) throw tooLarge(made.length);
  return { bytes: Buffer.from(made.buffer, made.byteOffset, made.length), written };
}

// One writer serves request after request: what it has grown to is not made anew for each. One that was left in the middle is lost.
let idle: BinaryWriter | undefined;
const keptBytesMax = 65_536;

function takeWriter(): BinaryWriter {
  const writer = idle ?? new BinaryWriter();
  idle = undefined;
  return writer;
}

function readBody(body: Buffer | undefined, wanted: boolean): JsonObject {
  if (body === undefined || body.length === 0) return emptyObject;
  const value = parseBody(body);
  if (!isObject(value)) throw invalidField('body', 'must be a JSON object', 'TYPE_MISMATCH');
  if (!wanted && value.size > 0) throw invalidField('body', 'this method takes no body', 'FIELD_UNKNOWN');
  return value;
}

function parseBody(body: Buffer): JsonValue {
  if (!isUtf8(body)) throw invalidField('body', 'is not UTF-8', 'TEXT_INVALID');
  try {
    return parseJson(body.toString('utf8'));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new AppError('INVALID_REQUEST', `The body cannot be read: ${error.message}`, {
      metadata: { line: String(error.line), column: String(error.column) },
      fieldViolations: [{ field: 'body', reason: error.reason, description: error.message }],
    });
  }
}

function pathObject(
  desc: DescMessage,
  params: Readonly<Record<string, string>>,
  written: JsonObject,
  faults: Faults,
): JsonObject {
  const object = new Map<string, JsonValue>();
  for (const [name, value] of Object.entries(params)) {
    object.set(name, value);
    const spelled = spelling(written, fieldNamed(desc, name));
    if (spelled !== undefined && String(written.get(spelled)) !== value) {
      faults.addAt(spelled, 'FIELD_TWICE', 'is given by the path already');
    }
  }
  return object;
}

// The headers that every method knows, where its request has the field: none of them names a method.
function fromHeaders(
  desc: DescMessage,
  headers: IncomingHttpHeaders,
  written: JsonObject,
  faults: Faults,
): Map<string, JsonValue> {
  const extra = new Map<string, JsonValue>();
  const add = (name: string, header: string, value: string | undefined): void => {
    const field = fieldNamed(desc, name);
    if (field === undefined || value === undefined || value === '') return;
    const spelled = spelling(written, field);
    // An empty text is proto3's way to say nothing.
    if (spelled === undefined || written.get(spelled) === '') extra.set(name, value);
    else if (String(written.get(spelled)) !== value)
      faults.addAt(spelled, 'FIELD_TWICE', `differs from the header ${header}`);
  };
  add('request_id', 'Idempotency-Key', single(headers['idempotency-key']));
  add('etag', 'If-Match', readEtag(headers['if-match'], faults));
  const lastEvent = single(headers['last-event-id']);
  if (lastEvent !== undefined && fieldNamed(desc, 'after_sequence') !== undefined) {
    if (/^[0-9]{1,18}$/.test(lastEvent)) add('after_sequence', 'Last-Event-ID', lastEvent);
    else faults.addAt('Last-Event-ID', 'TYPE_MISMATCH', 'must be the sequence of an event');
  }
  return extra;
}

// What a raw body holds is told by its own header, unless the caller says otherwise.
function addContentType(
  desc: DescMessage,
  headers: IncomingHttpHeaders,
  written: JsonObject,
  extra: Map<string, JsonValue>,
): void {
  const field = fieldNamed(desc, 'content_type');
  if (field === undefined || spelling(written, field) !== undefined) return;
  extra.set('content_type', mediaTypeOf(headers));
}

// `"abc"`, `W/"abc"` and the bare form; `*` asks for no comparison of contents.
function readEtag(header: string | undefined, faults: Faults): string | undefined {
  if (header === undefined || header.trim() === '*') return undefined;
  const text = header
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1');
  if (!text.includes('"')) return text;
  faults.addAt('If-Match', 'INVALID', 'must hold one etag');
  return undefined;
}

const notInMasks = ['update_mask', 'etag', 'request_id'];

function addUpdateMask(
  desc: DescMessage,
  variables: readonly string[],
  written: JsonObject,
  extra: Map<string, JsonValue>,
): void {
  const mask = fieldNamed(desc, 'update_mask');
  if (mask === undefined || spelling(written, mask) !== undefined) return;
  const paths = desc.fields
    .filter((field) => !notInMasks.includes(field.name) && !variables.includes(field.name))
    .filter((field) => spelling(written, field) !== undefined)
    .map((field) => field.name);
  if (paths.length > 0) extra.set('update_mask', paths.join(','));
}

/** The name by which the caller wrote a field; undefined if the field is not there. */
export function spelling(written: JsonObject, field: DescField | undefined): string | undefined {
  if (field === undefined) return undefined;
  if (written.has(field.jsonName)) return field.jsonName;
  return written.has(field.name) ? field.name : undefined;
}

function fieldNamed(desc: DescMessage, name: string): DescField | undefined {
  return desc.fields.find((field) => field.name === name);
}

/** The media type of a body, lower-case and without parameters; empty if none is said. */
export function mediaTypeOf(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
