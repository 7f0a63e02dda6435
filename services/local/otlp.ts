import { BinaryReader } from '@bufbuild/protobuf/wire';

/** One attribute's value: OTLP's AnyValue without its wrapper. 64-bit integers are bigints. */
export type AttributeValue =
  | string
  | boolean
  | bigint
  | number
  | Buffer
  | AttributeValue[]
  | { [key: string]: AttributeValue };

/** Attributes of a span, a resource or an event. */
export type Attributes = Record<string, AttributeValue>;

/** One span as it came over the wire. Ids are lower-case hex; times are nanoseconds since 1970. */
export type Span = {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer' | 'unspecified';
  startNs: bigint;
  endNs: bigint;
  attributes: Attributes;
  events: { name: string; timeNs: bigint; attributes: Attributes }[];
  links: { traceId: string; spanId: string }[];
  status: { code: 'unset' | 'ok' | 'error'; message: string };
  /** `service.name` of the process that made it. */
  service: string;
  resource: Attributes;
  /** Name of the instrumentation scope. */
  scope: string;
};

const KINDS: Span['kind'][] = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const CODES: Span['status']['code'][] = ['unset', 'ok', 'error'];

type Visit = (field: number, reader: BinaryReader) => boolean;

/** Decodes an `ExportTraceServiceRequest` (OTLP 1.x, protobuf). Throws on bytes that are none. */
export function decodeTraceRequest(bytes: Uint8Array): Span[] {
  const spans: Span[] = [];
  read(bytes, (field, reader) => {
    if (field !== 1) return false;
    spans.push(...decodeResourceSpans(reader.bytes()));
    return true;
  });
  return spans;
}

function decodeResourceSpans(bytes: Uint8Array): Span[] {
  const resource: Attributes = {};
  const scopes: Uint8Array[] = [];
  read(bytes, (field, reader) => {
    if (field === 1) read(reader.bytes(), (inner, r) => inner === 1 && addAttribute(resource, r.bytes()));
    else if (field === 2) scopes.push(reader.bytes());
    else return false;
    return true;
  });
  const service = String(resource['service.name'] ?? '');
  return scopes.flatMap((scope) => decodeScopeSpans(scope, service, resource));
}

function decodeScopeSpans(bytes: Uint8Array, service: string, resource: Attributes): Span[] {
  let scope = '';
  const spans: Uint8Array[] = [];
  read(bytes, (field, reader) => {
    if (field === 1) {
      read(reader.bytes(), (inner, r) => {
        if (inner === 1) scope = r.string();
        return inner === 1;
      });
    } else if (field === 2) spans.push(reader.bytes());
    else return false;
    return true;
  });
  return spans.map((span) => decodeSpan(span, { service, resource, scope }));
}

function decodeSpan(bytes: Uint8Array, origin: Pick<Span, 'service' | 'resource' | 'scope'>): Span {
  const span: Span = {
    ...{ traceId: '', spanId: '', parentSpanId: '', name: '', kind: 'unspecified', startNs: 0n, endNs: 0n },
    ...{ attributes: {}, events: [], links: [], status: { code: 'unset', message: '' } },
    ...origin,
  };
  const fields: Record<number, (reader: BinaryReader) => void> = {
    1: (r) => (span.traceId = hex(r.bytes())),
    2: (r) => (span.spanId = hex(r.bytes())),
    4: (r) => (span.parentSpanId = hex(r.bytes())),
    5: (r) => (span.name = r.string()),
    6: (r) => (span.kind = KINDS[r.int32()] ?? 'unspecified'),
    7: (r) => (span.startNs = BigInt(r.fixed64())),
    8: (r) => (span.endNs = BigInt(r.fixed64())),
    9: (r) => addAttribute(span.attributes, r.bytes()),
    11: (r) => span.events.push(decodeEvent(r.bytes())),
    13: (r) => span.links.push(decodeLink(r.bytes())),
    15: (r) => (span.status = decodeStatus(r.bytes())),
  };
  read(bytes, (field, reader) => {
    fields[field]?.(reader);
    return field in fields;
  });
  return span;
}

function decodeEvent(bytes: Uint8Array): Span['events'][number] {
  const event: Span['events'][number] = { name: '', timeNs: 0n, attributes: {} };
  read(bytes, (field, reader) => {
    if (field === 1) event.timeNs = BigInt(reader.fixed64());
    else if (field === 2) event.name = reader.string();
    else if (field === 3) addAttribute(event.attributes, reader.bytes());
    else return false;
    return true;
  });
  return event;
}

function decodeLink(bytes: Uint8Array): Span['links'][number] {
  const link = { traceId: '', spanId: '' };
  read(bytes, (field, reader) => {
    if (field === 1) link.traceId = hex(reader.bytes());
    else if (field === 2) link.spanId = hex(reader.bytes());
    else return false;
    return true;
  });
  return link;
}

function decodeStatus(bytes: Uint8Array): Span['status'] {
  const status: Span['status'] = { code: 'unset', message: '' };
  read(bytes, (field, reader) => {
    if (field === 2) status.message = reader.string();
    else if (field === 3) status.code = CODES[reader.int32()] ?? 'unset';
    else return false;
    return true;
  });
  return status;
}

function addAttribute(attributes: Attributes, bytes: Uint8Array): boolean {
  let key = '';
  let value: AttributeValue = '';
  read(bytes, (field, reader) => {
    if (field === 1) key = reader.string();
    else if (field === 2) value = decodeAnyValue(reader.bytes());
    else return false;
    return true;
  });
  Object.defineProperty(attributes, key, { value, enumerable: true, configurable: true, writable: true });
  return true;
}

function decodeAnyValue(bytes: Uint8Array): AttributeValue {
  let value: AttributeValue = '';
  const kinds: Record<number, (reader: BinaryReader) => AttributeValue> = {
    1: (r) => r.string(),
    2: (r) => r.bool(),
    3: (r) => BigInt(r.int64()),
    4: (r) => r.double(),
    5: (r) => decodeList(r.bytes()),
    6: (r) => decodeMap(r.bytes()),
    7: (r) => Buffer.from(r.bytes()),
  };
  read(bytes, (field, reader) => {
    const kind = kinds[field];
    if (kind) value = kind(reader);
    return kind !== undefined;
  });
  return value;
}

function decodeList(bytes: Uint8Array): AttributeValue[] {
  const list: AttributeValue[] = [];
  read(bytes, (field, reader) => field === 1 && list.push(decodeAnyValue(reader.bytes())) > 0);
  return list;
}

function decodeMap(bytes: Uint8Array): Attributes {
  const map: Attributes = {};
  read(bytes, (field, reader) => field === 1 && addAttribute(map, reader.bytes()));
  return map;
}

// A field that a visitor does not take is skipped, so a newer sender is no error.
function read(bytes: Uint8Array, visit: Visit): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!visit(field, reader)) reader.skip(wireType, field);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
