import type { ServerResponse } from 'node:http';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import type { Owner } from '../contract/owners.ts';
import type { AnswerHeaders, Upstream } from '../grpc/upstream.ts';
import { messageToJson } from './codec/wire-to-json.ts';
import { streamEvents } from './event-stream.ts';
import type { HttpExchange } from './exchange.ts';
import { violationInJson } from './field-path.ts';
import { refuse } from './refusal.ts';
import { readRequestMessage } from './request-message.ts';
import { streamFile } from './stream-file.ts';

/** A call that is under way; `end` answers it with an error that says why. */
export type OpenCall = { end(error: AppError): void };

/** What is needed to pass HTTP calls on. */
export type TranscodeDeps = {
  readonly upstreams: Readonly<Record<Owner, Upstream>>;
  /** The calls under way, kept by `transcode`. */
  readonly open: Set<OpenCall>;
  /** Milliseconds of silence after which a stream gets a comment. */
  readonly heartbeatMs: number;
};

/** Passes a matched and admitted request on to its owner and answers it; throws where the request cannot be read. */
export function transcode(
  deps: TranscodeDeps,
  exchange: HttpExchange,
  body: Buffer | undefined,
  response: ServerResponse,
): void {
  const { method } = exchange.match!.route;
  const message = readRequestMessage({
    match: exchange.match!,
    query: exchange.query,
    headers: exchange.request.headers,
    body,
  });
  const call = exchange.forwarded(message.bytes);
  const upstream = deps.upstreams[method.owner];
  const fail = (error: AppError): void => refuse(exchange, response, error);
  const translate = inCallersWords(exchange, message.written);
  if (method.streams) {
    const onEnd = (): void => void deps.open.delete(stream);
    const pass = method.isDownload ? streamFile : streamEvents;
    const stream = pass(
      { upstream, heartbeatMs: deps.heartbeatMs, onEnd, refuse: fail, translate },
      exchange,
      call,
      response,
    );
    deps.open.add(stream);
    return;
  }
  let settled = false;
  const open: OpenCall = {
    end(error) {
      settled = true;
      fail(error);
      cancel();
    },
  };
  deps.open.add(open);
  const cancel = upstream.unary(call, (failure, bytes, headers) => {
    deps.open.delete(open);
    exchange.settled();
    if (settled) return;
    if (failure !== undefined) fail(translate(failure.error));
    else answerOr(fail, () => answerWhole(exchange, response, bytes, headers));
  });
  exchange.onGone(cancel);
}

// What an owner says is not ours to trust: an answer that cannot be read ends its call, not the process.
function answerOr(fail: (error: AppError) => void, answer: () => void): void {
  try {
    answer();
  } catch (error) {
    fail(normalizeError(error));
  }
}

/** Answers with one message, in the status and with the location that its owner told. */
export function answerWhole(
  exchange: HttpExchange,
  response: ServerResponse,
  bytes: Buffer,
  told: AnswerHeaders | undefined,
): void {
  if (response.destroyed) return;
  const { httpStatus, location } = told ?? {};
  if (location !== undefined) exchange.headers.location = location;
  const { output } = exchange.match!.route.method.desc;
  if (output.typeName === 'google.protobuf.Empty') {
    response.writeHead(204, exchange.answerHeaders()).end();
    return;
  }
  const { json, etag } = messageToJson(output, bytes);
  if (etag !== undefined) exchange.headers.etag = etag;
  const status = httpStatus !== undefined && /^2[0-9]{2}$/.test(httpStatus) ? Number(httpStatus) : 200;
  exchange.send(response, status, 'application/json; charset=utf-8', json);
}

/** Puts an owner's errors into the spelling of the caller. */
export function inCallersWords(exchange: HttpExchange, written: JsonObject): (error: AppError) => AppError {
  return (error) => {
    if (error.fieldViolations.length === 0) return error;
    const { input } = exchange.match!.route.method.desc;
    const fieldViolations = error.fieldViolations.map((one) => violationInJson(input, written, one));
    return new AppError(error.reason, error.message, { ...error, fieldViolations, cause: error.cause });
  };
}
