import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { CallContext } from '../call-context.ts';
import { type Address, formatAddress } from '../config/env.ts';
import { invariant } from '../error/app-error.ts';
import type { Logger } from '../log/logger.ts';
import { createTally } from '../log/tally.ts';
import { createRpcDurations } from '../telemetry/call-durations.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { type AnyHandler, createCallRunner, type UnaryHandler } from './call-runner.ts';
import { CarriedCall, type CarriedMethod } from './carried-call.ts';
import { checkedDeserialize } from './deserialize.ts';
import { addReflection } from './reflection.ts';
import { marksLast } from './request-stream.ts';
import { toStatusObject } from './status.ts';
import { tokenCheck } from './token-check.ts';

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

function deserializerOf({ requestStream, requestDeserialize }: MethodDefinition<unknown, unknown>) {
  const checked = checkedDeserialize(requestDeserialize);
  return requestStream ? marksLast(checked) : checked;
}
