import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { fromServiceError } from '@signet/kit/grpc/status.ts';

/** What a call may carry besides its request. */
export type GrpcOptions = {
  /** The API key; empty sends none. Default: the stack's admin key. */
  readonly key?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

/** A small client of the gRPC door. Methods come from the generated service definitions, requests from `X.fromPartial`. */
export type GrpcClient = {
  /** Makes a unary call; a failure is thrown as the AppError that its status details hold. */
  unary<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, options?: GrpcOptions): Promise<Res>;
  /** Makes a unary call that must fail: its error as grpc-js gives it. */
  fails<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, options?: GrpcOptions): Promise<ServiceError>;
  /** Opens a server stream. */
  stream<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, options?: GrpcOptions): AsyncIterable<Res>;
  /** Sends requests to a client stream, all at once; a failure is thrown as for unary calls. */
  upload<Req, Res>(method: MethodDefinition<Req, Res>, requests: readonly Req[], options?: GrpcOptions): Promise<Res>;
  /** Opens a call whose requests are streamed, as they come; its answers, or the one answer, are iterated. */
  duplex<Req, Res>(
    method: MethodDefinition<Req, Res>,
    requests: AsyncIterable<Req>,
    options?: GrpcOptions,
  ): AsyncIterable<Res>;
  close(): void;
};

/** Opens a client for a door such as `127.0.0.1:50050`. */
export function createGrpcClient(address: string, adminKey: string): GrpcClient {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
    'grpc.max_receive_message_length': -1,
    // Two clients of one address would share a connection, and a dead one of an earlier test with it.
    'grpc.use_local_subchannel_pool': 1,
    // A door that was shut a moment ago is tried again before the next one shuts.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 300,
  });
  const prepare = (options: GrpcOptions) => {
    const metadata = new Metadata();
    const key = options.key ?? adminKey;
    if (key !== '') metadata.set('authorization', `Bearer ${key}`);
    for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value);
    return { metadata, callOptions: { deadline: Date.now() + (options.timeoutMs ?? 60_000) } };
  };
  const raw = <Req, Res>(
    method: MethodDefinition<Req, Res>,
    request: Req,
    options: GrpcOptions = {},
  ): Promise<{ error: ServiceError | null; reply: Res | undefined }> => {
    const { metadata, callOptions } = prepare(options);
    return new Promise((resolve) => {
      const call = client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        metadata,
        callOptions,
        (error, reply) => resolve({ error, reply }),
      );
      options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
    });
  };
  return {
    async unary(method, request, options) {
      const { error, reply } = await raw(method, request, options);
      if (error !== null) throw fromServiceError(error, 'gateway');
      return reply as never;
    },
    async fails(method, request, options) {
      const { error } = await raw(method, request, options);
      if (error === null) throw new Error(`${method.path} was to fail and did not`);
      return error;
    },
    async *stream(method, request, options = {}) {
      const { metadata, callOptions } = prepare(options);
      const call: ClientReadableStream<never> = client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize as (bytes: Buffer) => never,
        request,
        metadata,
        callOptions,
      );
      options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
      try {
        for await (const message of call) yield message;
      } catch (error) {
        throw fromServiceError(error as ServiceError, 'gateway');
      } finally {
        call.on('error', () => undefined);
        call.cancel();
      }
    },
    async *duplex(method, requests, options = {}) {
      const { metadata, callOptions } = prepare(options);
      const call: ClientDuplexStream<never, never> = client.makeBidiStreamRequest(
        method.path,
        method.requestSerialize as (request: never) => Buffer,
        method.responseDeserialize as (bytes: Buffer) => never,
        metadata,
        callOptions,
      );
      options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
      let broken: unknown;
      // What the requests break with ends the call.
      sendAll(call, requests).catch((error: unknown) => {
        broken = error;
        call.cancel();
      });
      try {
        for await (const message of call) yield message;
      } catch (error) {
        throw broken ?? fromServiceError(error as ServiceError, 'gateway');
      } finally {
        call.on('error', () => undefined);
        call.cancel();
      }
    },
    upload(method, requests, options = {}) {
      const { metadata, callOptions } = prepare(options);
      return new Promise((resolve, reject) => {
        const call = client.makeClientStreamRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          metadata,
          callOptions,
          (error, reply) => {
            if (error === null) resolve(reply as never);
            else reject(fromServiceError(error, 'gateway'));
          },
        );
        options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
        for (const request of requests) call.write(request);
        call.end();
      });
    },
    close: () => client.close(),
  };
}

async function sendAll(call: ClientDuplexStream<never, never>, requests: AsyncIterable<unknown>): Promise<void> {
  for await (const request of requests) {
    if (call.destroyed) return;
    if (!call.write(request as never)) await new Promise((resolve) => call.once('drain', resolve));
  }
  call.end();
}

/** The failure of a call as an AppError: its reason, metadata and violations. */
export function failureOf(error: ServiceError): AppError {
  return fromServiceError(error, 'gateway');
}
