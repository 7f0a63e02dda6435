import { timingSafeEqual } from 'node:crypto';
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Span } from '@opentelemetry/api';
import { HealthImplementation } from 'grpc-health-check';
import type { CallContext } from '../call-context.ts';
import { type Address, formatAddress } from '../config/env.ts';
import { AppError, invariant } from '../error/app-error.ts';
import { normalizeError } from '../error/normalize.ts';
import { reasons } from '../error/reasons.ts';
import type { Logger } from '../log/logger.ts';
import { createTally, type Tally } from '../log/tally.ts';
import { createRpcDurations, type RpcDurations } from '../telemetry/call-durations.ts';
import { endSpan, SpanKind, startSpan } from '../telemetry/span.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { contextFromTraceparent } from '../telemetry/traceparent.ts';
import { CarriedCall, type CarriedMethod } from './carried-call.ts';
import { checkedDeserialize, isRefused, type Refused } from './deserialize.ts';
import { addReflection } from './reflection.ts';
import { marksLast, requestsOf } from './request-stream.ts';
import { type RawCall, ServerCallContext } from './server-call.ts';
import { toStatusObject } from './status.ts';

/** The handlers of a service: they take a request or an async iterable of them, and give a promise or an async iterable. */
export type Handlers<S> = {
  [K in keyof S]: S[K] extends MethodDefinition<infer Req, infer Res> & { requestStream: true; responseStream: true }
    ? (requests: AsyncIterable<Req>, ctx: CallContext) => AsyncIterable<Res>
    : S[K] extends MethodDefinition<infer Req, infer Res> & { requestStream: true }
      ? (requests: AsyncIterable<Req>, ctx: CallContext) => Promise<Res>
      : S[K] extends MethodDefinition<infer Req, infer Res> & { responseStream: true }
        ? (request: Req, ctx: CallContext) => AsyncIterable<Res>
        : S[K] extends MethodDefinition<infer Req, infer Res>
          ? (request: Req, ctx: CallContext) => Promise<Res>
          : never;
};

/** What a server of ours needs. */
export type GrpcServerDeps = {
  readonly telemetry: Telemetry;
  readonly log: Logger;
  /** What every call must bring as `authorization: Bearer …`; health and reflection excepted. */
  readonly internalToken: string;
};

/** A gRPC server for calls between our own processes, with health and reflection. */
export type GrpcServer = {
  /** Serves a service; its calls are traced, timed, logged, and their errors become statuses. */
  add<S extends ServiceDefinition>(service: S, handlers: Handlers<S>): void;
  /** The door for calls of a unary method that come inside a stream: traced, timed and logged like others; undefined if it is not served. */
  carried(path: string): CarriedMethod | undefined;
  /** Serves one method that is a stream both ways, to our own processes; its handler owns it from then on. */
  addDuplex<Req, Res>(method: MethodDefinition<Req, Res>, handler: (call: ServerDuplexStream<Req, Res>) => void): void;
  setServing(serving: boolean): void;
  /** Starts; answers where it listens. */
  listen(address: Address): Promise<string>;
  /** Takes no new calls, waits for those that run at most `graceMs`, then cuts them. */
  close(graceMs?: number): Promise<void>;
};

/** The transport's own limit of a message; ours is said earlier and more kindly. */
export const transportLimitBytes = 16 * 1024 * 1024;

/** Options of every channel and server of ours. */
export const channelOptions = {
  'grpc.max_receive_message_length': transportLimitBytes,
  'grpc.max_send_message_length': transportLimitBytes,
  'grpc.max_concurrent_streams': 1000,
  'grpc-node.max_session_memory': 256,
} as const;

// One gateway's channel is one connection: its own bounds are what holds it back.
const innerStreamMax = 10_000;

/** Makes a server for calls between our own processes. */
export function createGrpcServer(deps: GrpcServerDeps): GrpcServer {
  const server = new Server({ ...channelOptions, 'grpc.max_concurrent_streams': innerStreamMax });
  const health = new HealthImplementation({ '': 'SERVING' });
  const durations = createRpcDurations(deps.telemetry.meter);
  const tally = createTally(deps.log);
  const services: string[] = [];
  const carriers = new Map<string, CarriedMethod>();
  health.addToServer(server);
  return {
    add(service, handlers) {
      const implementation: UntypedServiceImplementation = {};
      const definitions: Record<string, MethodDefinition<unknown, unknown>> = {};
      for (const [name, definition] of Object.entries(service)) {
        const handler = (handlers as Record<string, unknown>)[name];
        invariant(typeof handler === 'function', `no handler for ${definition.path}`);
        const call = createCallRunner({ ...deps, durations, tally }, definition.path);
        const checked = {
          ...(definition as MethodDefinition<unknown, unknown>),
          requestDeserialize: deserializerOf(definition),
        };
        definitions[name] = checked;
        implementation[name] = call.serve(definition, handler as AnyHandler);
        if (!definition.responseStream && !definition.requestStream) {
          carriers.set(definition.path, carrierOf(checked, call.unary(handler as UnaryHandler)));
        }
        services.push(definition.path.split('/')[1]!);
      }
      server.addService(definitions as ServiceDefinition, implementation);
      const serviceName = services.at(-1);
      if (serviceName !== undefined) health.setStatus(serviceName, 'SERVING');
    },
    carried: (path) => carriers.get(path),
    addDuplex(method, handler) {
      const checkToken = tokenCheck(deps.internalToken);
      const serve: handleBidiStreamingCall<never, never> = (call) => {
        try {
          checkToken(call);
        } catch (error) {
          return void call.emit('error', toStatusObject(error));
        }
        handler(call as never);
      };
      server.addService({ served: method }, { served: serve as UntypedHandleCall });
    },
    setServing(serving) {
      for (const name of new Set(['', ...services])) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    },
    async listen(address) {
      // What passes between our own processes is nobody else's to see, wherever it is served.
      addReflection(
        server,
        [...new Set(services)].filter((name) => !name.startsWith('signet.internal.')),
      );
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(formatAddress(address), ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(Object.assign(error, { code: 'EADDRINUSE' })),
        );
      });
      return formatAddress({ host: address.host, port });
    },
    async close(graceMs = 10_000) {
      const timer = setTimeout(() => server.forceShutdown(), graceMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(timer);
    },
  };
}

// The request of a carried call is a buffer that lives as long as its message: nothing of it is copied.
function carrierOf(
  { requestDeserialize, responseSerialize }: MethodDefinition<unknown, unknown>,
  run: handleUnaryCall<unknown, unknown>,
): CarriedMethod {
  return (request, done) => {
    const call = new CarriedCall(requestDeserialize(request.request), request);
    run(call as never, (failure, response) =>
      done(failure ? { failure } : { response: responseSerialize(response), headers: call.reply }),
    );
    return () => call.cancel();
  };
}

function tokenCheck(internalToken: string): (raw: Pick<RawCall, 'metadata'>) => void {
  const bearer = Buffer.from(`Bearer ${internalToken}`);
  return (raw) => {
    const given = Buffer.from(raw.metadata.get('authorization')[0] ?? '');
    if (given.length !== bearer.length || !timingSafeEqual(given, bearer)) {
      throw new AppError('KEY_MISSING', 'This door is for our own processes');
    }
  };
}

function deserializerOf({ requestStream, requestDeserialize }: MethodDefinition<unknown, unknown>) {
  const checked = checkedDeserialize(requestDeserialize);
  return requestStream ? marksLast(checked) : checked;
}

type UnaryHandler = (request: unknown, ctx: CallContext) => Promise<unknown>;
type StreamHandler = (request: unknown, ctx: CallContext) => AsyncIterable<unknown>;
type AnyHandler = UnaryHandler & StreamHandler;

type RunnerDeps = GrpcServerDeps & { readonly durations: RpcDurations; readonly tally: Tally };

function createCallRunner(deps: RunnerDeps, path: string) {
  const spanName = path.slice(1);
  const checkToken = tokenCheck(deps.internalToken);

  const begin = (raw: RawCall): { ctx: ServerCallContext; span: Span; startMs: number } => {
    const parent = contextFromTraceparent(raw.metadata.get('traceparent')[0]?.toString());
    const { span, context } = startSpan(deps.telemetry.tracer, spanName, parent, SpanKind.SERVER);
    const ctx = new ServerCallContext(raw, context, deps.log, () => new Metadata());
    return { ctx, span, startMs: performance.now() };
  };
  const admit = (raw: RawCall & { request?: unknown }): void => {
    if (raw.isTrusted !== true) checkToken(raw);
    if (isRefused(raw.request)) throw (raw.request as Refused).error;
  };
  const end = (ctx: ServerCallContext, span: Span, startMs: number, error?: unknown): void => {
    ctx.settle();
    const failure = error === undefined ? undefined : normalizeError(error);
    deps.durations.record(performance.now() - startMs, spanName, failure);
    if (failure !== undefined) logFailure(ctx, deps.tally, spanName, failure);
    endSpan(span, error);
  };

  const answer = (
    run: () => Promise<unknown>,
    { ctx, span, startMs }: ReturnType<typeof begin>,
    callback: (failure: ReturnType<typeof toStatusObject> | null, response?: unknown) => void,
  ): void => {
    run().then(
      (response) => {
        end(ctx, span, startMs);
        ctx.flushReply();
        callback(null, response);
      },
      (thrown: unknown) => {
        const error = normalizeError(thrown);
        end(ctx, span, startMs, error);
        callback(toStatusObject(error));
      },
    );
  };
  const pour = async (
    messages: () => AsyncIterable<unknown>,
    { ctx, span, startMs }: ReturnType<typeof begin>,
    call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  ): Promise<void> => {
    try {
      for await (const message of messages()) {
        ctx.flushReply();
        if (call.cancelled) break;
        if (!call.write(message)) await drained(call, ctx.signal);
      }
      end(ctx, span, startMs);
      ctx.flushReply();
      call.end();
    } catch (thrown) {
      const error = normalizeError(thrown);
      end(ctx, span, startMs, error);
      call.emit('error', toStatusObject(error));
    }
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
