import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import type { CallContext } from '../call-context.ts';
import type { AppError } from '../error/app-error.ts';
import { normalizeError } from '../error/normalize.ts';
import { reasons } from '../error/reasons.ts';
import type { Logger } from '../log/logger.ts';
import type { Tally } from '../log/tally.ts';
import type { RpcDurations } from '../telemetry/call-durations.ts';
import { endSpan, SpanKind, startSpan } from '../telemetry/span.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { contextFromTraceparent } from '../telemetry/traceparent.ts';
import { isRefused, type Refused } from './deserialize.ts';
import { requestsOf } from './request-stream.ts';
import { type RawCall, ServerCallContext } from './server-call.ts';
import { toStatusObject } from './status.ts';
import { tokenCheck } from './token-check.ts';

/** What takes one request, or an iterable of them, and gives one response. */
export type UnaryHandler = (request: unknown, ctx: CallContext) => Promise<unknown>;

/** What gives an iterable of responses. */
export type StreamHandler = (request: unknown, ctx: CallContext) => AsyncIterable<unknown>;

/** What handles a call of any kind; the kind is its method's. */
export type AnyHandler = UnaryHandler & StreamHandler;

/** What running calls needs. */
export type CallRunnerDeps = {
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly internalToken: string;
  readonly durations: RpcDurations;
  readonly tally: Tally;
};

/** Makes what runs the calls of a method: admitted by the internal token, traced, timed and logged, their errors as statuses. */
export function createCallRunner(deps: CallRunnerDeps, path: string) {
  const spanName = path.slice(1);
  const checkToken = tokenCheck(deps.internalToken);
  const begin = (raw: RawCall): Begun => beginCall(deps, spanName, raw);
  const admit = (raw: RawCall & { request?: unknown }): void => {
    if (raw.isTrusted !== true) checkToken(raw);
    if (isRefused(raw.request)) throw (raw.request as Refused).error;
  };
  const unary =
    (handler: UnaryHandler): handleUnaryCall<unknown, unknown> =>
    (call, callback) => {
      const begun = begin(call);
      const run = async (): Promise<unknown> => {
        admit(call);
        return handler(call.request, begun.ctx);
      };
      answer(run, begun, callback);
    };
  const clientStream =
    (handler: UnaryHandler): handleClientStreamingCall<unknown, unknown> =>
    (call, callback) => {
      const begun = begin(call);
      const run = async (): Promise<unknown> => {
        admit(call);
        return handler(requestsOf(call, begun.ctx), begun.ctx);
      };
      answer(run, begun, callback);
    };
  const stream =
    (handler: StreamHandler): handleServerStreamingCall<unknown, unknown> =>
    (call) => {
      const begun = begin(call);
      const messages = (): AsyncIterable<unknown> => {
        admit(call);
        return handler(call.request, begun.ctx);
      };
      void pour(messages, begun, call);
    };
  const duplex =
    (handler: StreamHandler): handleBidiStreamingCall<unknown, unknown> =>
    (call) => {
      const begun = begin(call);
      const messages = (): AsyncIterable<unknown> => {
        admit(call);
        return handler(requestsOf(call, begun.ctx), begun.ctx);
      };
      void pour(messages, begun, call);
    };
  const serve = (
    kind: Pick<MethodDefinition<unknown, unknown>, 'requestStream' | 'responseStream'>,
    handler: AnyHandler,
  ) => {
    if (kind.requestStream) return kind.responseStream ? duplex(handler) : clientStream(handler);
    return kind.responseStream ? stream(handler) : unary(handler);
  };

  return { unary, serve };
}

type Begun = { readonly ctx: ServerCallContext; readonly end: (error?: unknown) => void };

function beginCall(deps: CallRunnerDeps, spanName: string, raw: RawCall): Begun {
  const parent = contextFromTraceparent(raw.metadata.get('traceparent')[0]?.toString());
  const { span, context } = startSpan(deps.telemetry.tracer, spanName, parent, SpanKind.SERVER);
  const ctx = new ServerCallContext(raw, context, deps.log, () => new Metadata());
  const startMs = performance.now();
  const end = (error?: unknown): void => {
    ctx.settle();
    const failure = error === undefined ? undefined : normalizeError(error);
    deps.durations.record(performance.now() - startMs, spanName, failure);
    if (failure !== undefined) logFailure(ctx, deps.tally, spanName, failure);
    endSpan(span, error);
  };
  return { ctx, end };
}

function answer(
  run: () => Promise<unknown>,
  { ctx, end }: Begun,
  callback: (failure: ReturnType<typeof toStatusObject> | null, response?: unknown) => void,
): void {
  run().then(
    (response) => {
      end();
      ctx.flushReply();
      callback(null, response);
    },
    (thrown: unknown) => {
      const error = normalizeError(thrown);
      end(error);
      callback(toStatusObject(error));
    },
  );
}

async function pour(
  messages: () => AsyncIterable<unknown>,
  { ctx, end }: Begun,
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
): Promise<void> {
  try {
    for await (const message of messages()) {
      ctx.flushReply();
      if (call.cancelled) break;
      if (!call.write(message)) await drained(call, ctx.signal);
    }
    end();
    ctx.flushReply();
    call.end();
  } catch (thrown) {
    const error = normalizeError(thrown);
    end(error);
    call.emit('error', toStatusObject(error));
  }
}

// A reader that stopped reading holds its own call back, nobody else's.
function drained(call: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.once('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

function logFailure(ctx: ServerCallContext, tally: Tally, method: string, error: AppError): void {
  const fields = { method, reason: error.reason, metadata: error.metadata, key_id: ctx.principal?.keyId };
  if (reasons[error.reason].http === 500) ctx.log.error({ ...fields, err: error.cause }, error.message);
  else if (error.reason === 'QUEUE_FULL') tally.note(error.reason, { ...fields, trace_id: ctx.traceId }, error.message);
  else ctx.log.warn(fields, error.message);
}
