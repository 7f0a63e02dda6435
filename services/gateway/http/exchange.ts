import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DescField } from '@bufbuild/protobuf';
import type { Context, Span } from '@opentelemetry/api';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { HttpDurations } from '@signet/kit/telemetry/call-durations.ts';
import { endSpan, SpanKind, startSpan } from '@signet/kit/telemetry/span.ts';
import { contextFromTraceparent, traceIdOf, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import { type Admitted, admit, RateLimitedError } from '../admission/admit.ts';
import { rateHeaders } from '../admission/rate-limit.ts';
import { defaultTimeoutMs } from '../contract/owners.ts';
import { type ForwardDeps, hear, noteCall } from '../grpc/forward.ts';
import type { ForwardedCall } from '../grpc/upstream.ts';
import { mediaTypeOf } from './request-message.ts';
import type { Match } from './routes.ts';

/** The longest that X-Timeout-Ms may ask for: six hours. */
const timeoutMaxMs = 21_600_000;

/** What bodies of one JSON object a line are called. */
const jsonLinesTypes = ['application/x-ndjson', 'application/ndjson', 'application/jsonl', 'application/x-jsonlines'];

/** Headers of every answer: nothing of ours is a page that others may frame, sniff or cache. */
const safeHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
};

/** One HTTP request on its way through: its span, its clock, its headers, its log line. */
export class HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly query: string;
  /** Headers of the answer, lower-case. */
  readonly headers: Record<string, string> = { ...safeHeaders };
  readonly trace: Context;
  match: Match | undefined;
  admitted: Admitted | undefined;
  private readonly deps: ForwardDeps;
  private readonly span: Span;
  private readonly durations: HttpDurations;
  private readonly startMs = performance.now();
  private failure: AppError | undefined;
  private cancelUpstream: (() => void) | undefined;
  private gone = false;

  constructor(
    deps: ForwardDeps,
    durations: HttpDurations,
    request: IncomingMessage,
    response: ServerResponse,
    url: string,
  ) {
    this.deps = deps;
    this.durations = durations;
    this.request = request;
    this.response = response;
    const question = url.indexOf('?');
    this.path = question < 0 ? url : url.slice(0, question);
    this.query = question < 0 ? '' : url.slice(question + 1);
    const parent = contextFromTraceparent(single(request.headers.traceparent));
    const { span, context } = startSpan(deps.telemetry.tracer, request.method ?? 'HTTP', parent, SpanKind.SERVER);
    this.span = span;
    this.trace = context;
    const traceparent = traceparentOf(context);
    if (traceparent !== '') this.headers.traceparent = traceparent;
    response.once('close', () => this.end(response));
  }

  /** Names the span and the metrics by the route. */
  matched(match: Match): void {
    this.match = match;
    this.span.updateName(match.route.label);
  }

  /** Lets the caller in, now or later; throws what `admit` throws. */
  admit(path: string): undefined | Promise<void> {
    const knock = {
      authorization: single(this.request.headers.authorization),
      ip: this.request.socket.remoteAddress ?? '',
      path,
      trace: this.trace,
    };
    const admitted = admit(this.deps.admission, knock);
    if (admitted instanceof Promise) return admitted.then((later) => this.enter(later));
    this.enter(admitted);
    return undefined;
  }

  /** The call as it goes to the owner of the matched method. */
  forwarded(message: Buffer): ForwardedCall {
    const { method } = this.match!.route;
    const timeoutMs = readTimeoutMs(single(this.request.headers['x-timeout-ms'])) ?? defaultTimeoutMs(method);
    return {
      path: method.path,
      isRead: method.isRead,
      message,
      deadlineMs: Date.now() + timeoutMs,
      principal: this.admitted!.principal,
      trace: this.trace,
      metadata: { prefer: readPrefer(single(this.request.headers.prefer)), 'signet-payload': 'json' },
    };
  }

  /** Says how to end the upstream call if the caller goes away. */
  onGone(cancel: () => void): void {
    this.cancelUpstream = cancel;
    if (this.gone) cancel();
  }

  /** The upstream call has ended: there is nothing left to cancel. */
  settled(): void {
    this.cancelUpstream = undefined;
  }

  /** Notes why the request failed, for span and log. */
  failed(thrown: unknown): AppError {
    const error = normalizeError(thrown);
    this.failure = error;
    if (this.match !== undefined) hear(this.deps, this.match.route.method, error);
    if (error instanceof RateLimitedError) Object.assign(this.headers, rateHeaders(error.rate));
    return error;
  }

  /** The headers of the answer; a door that closes asks the caller not to come back on this connection. */
  answerHeaders(): Record<string, string> {
    if (this.deps.draining()) this.headers.connection = 'close';
    return this.headers;
  }

  /** Sends a whole answer. */
  send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
    this.headers['content-type'] = type;
    this.headers['content-length'] = String(Buffer.byteLength(body));
    response.writeHead(status, this.answerHeaders());
    response.end(this.request.method === 'HEAD' ? undefined : body);
  }

  /** Throws UNSUPPORTED_MEDIA_TYPE unless the body, if there is one, is plain JSON, or what a streamed body is to be. */
  checkMediaType(): undefined {
    const { headers } = this.request;
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
    if (!hasBody) return undefined;
    const type = mediaTypeOf(headers);
    const taken = mediaTypesFor(this.match?.route.binding.bodyField);
    if (taken !== undefined && !taken.includes(type)) {
      throw new AppError('UNSUPPORTED_MEDIA_TYPE', `The body must be ${taken[0]}`, {
        metadata: { content_type: type.slice(0, 100) },
      });
    }
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must not be compressed', {
        metadata: { content_encoding: encoding.slice(0, 100) },
      });
    }
    return undefined;
  }

  get traceId(): string {
    return traceIdOf(this.trace);
  }

  private enter(admitted: Admitted): void {
    this.admitted = admitted;
    if (admitted.rate !== undefined) Object.assign(this.headers, rateHeaders(admitted.rate));
  }

  private end(response: ServerResponse): void {
    this.gone = true;
    this.cancelUpstream?.();
    const status = response.writableFinished ? response.statusCode : 499;
    const route = this.match?.route.binding.template;
    const method = this.request.method ?? '';
    const attributes = {
      'http.request.method': method,
      'http.response.status_code': status,
      ...(route === undefined ? {} : { 'http.route': route }),
    };
    const durationMs = performance.now() - this.startMs;
    this.durations.record(durationMs, { method, status, route });
    const called = this.match?.route.method;
    const label = this.match?.route.label ?? `${method} (no route)`;
    noteCall(this.deps, { method: label, called, durationMs, error: this.failure, trace: this.trace });
    if (this.span.isRecording()) this.span.setAttributes({ ...attributes, 'url.path': this.path });
    // By the conventions a refusal is the caller's error, not the server's.
    endSpan(this.span, status >= 500 ? this.failure : undefined);
  }
}

// Undefined where the owner says what it takes: a raw body may be anything.
function mediaTypesFor(field: DescField | undefined): readonly string[] | undefined {
  if (field === undefined) return ['application/json'];
  return field.fieldKind === 'message' ? jsonLinesTypes : undefined;
}

function readTimeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const value = /^[0-9]{1,9}$/.test(header) ? Number(header) : 0;
  if (value < 1 || value > timeoutMaxMs) {
    throw invalidField('X-Timeout-Ms', `must be a whole number from 1 to ${timeoutMaxMs}`, 'OUT_OF_RANGE');
  }
  return value;
}

function readPrefer(header: string | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (header.length <= 256 && /^[\x20-\x7e]*$/.test(header)) return header;
  throw invalidField('Prefer', 'must be at most 256 printable characters', 'INVALID');
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
