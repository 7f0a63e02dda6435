import {
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type StatusObject,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type Address, formatAddress } from '@signet/kit/config/env.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { addReflection } from '@signet/kit/grpc/reflection.ts';
import { channelOptions } from '@signet/kit/grpc/server.ts';
import { toStatusObject } from '@signet/kit/grpc/status.ts';
import { createRpcDurations, type RpcDurations } from '@signet/kit/telemetry/call-durations.ts';
import type { HealthImplementation } from 'grpc-health-check';
import { type Leave, noPlace } from '../admission/turnstile.ts';
import type { Contract, PublicMethod } from '../contract/public-methods.ts';
import { type ForwardDeps, ForwardedExchange } from './forward.ts';
import { shortDetails } from './short-details.ts';
import { forwardStreamed } from './streamed-call.ts';
import type { AnswerHeaders, UpstreamFailure } from './upstream.ts';

/** The public gRPC door. */
export type GrpcDoor = {
  /** Starts; answers where it listens. */
  listen(address: Address): Promise<string>;
  /** Takes no new calls, waits for those that run at most `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
};

const identity = (bytes: Buffer): Buffer => bytes;

/** Serves every public method by forwarding its bytes, and health and reflection. */
export function createGrpcDoor(deps: ForwardDeps, contract: Contract, health: HealthImplementation): GrpcDoor {
  const server = new Server({ ...channelOptions, 'grpc.max_connection_age_grace_ms': 10_000 });
  const durations = createRpcDurations(deps.telemetry.meter);
  const services = [...new Set(contract.methods.map((method) => method.service))];
  for (const service of services) {
    const definitions: Record<string, MethodDefinition<Buffer, Buffer>> = {};
    const handlers: UntypedServiceImplementation = {};
    for (const method of contract.methods.filter((one) => one.service === service)) {
      definitions[method.name] = {
        path: method.path,
        requestStream: method.takesStream,
        responseStream: method.streams,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      };
      handlers[method.name] = handlerOf(deps, method, durations);
    }
    server.addService(definitions as ServiceDefinition, handlers);
  }
  health.addToServer(server);
  addReflection(server, services);
  return {
    async listen(address) {
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync(formatAddress(address), ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(Object.assign(error, { code: 'EADDRINUSE' })),
        );
      });
      return formatAddress({ host: address.host, port });
    },
    async close(graceMs) {
      const timer = setTimeout(() => server.forceShutdown(), graceMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(timer);
    },
  };
}

function handlerOf(deps: ForwardDeps, method: PublicMethod, durations: RpcDurations) {
  if (method.takesStream)
    return method.streams ? duplexHandler(deps, method, durations) : gatheringHandler(deps, method, durations);
  return method.streams ? streamHandler(deps, method, durations) : unaryHandler(deps, method, durations);
}

function unaryHandler(deps: ForwardDeps, method: PublicMethod, durations: RpcDurations) {
  return (
    call: ServerUnaryCall<Buffer, Buffer>,
    callback: (error: Partial<StatusObject> | null, bytes?: Buffer) => void,
  ) => {
    const leave = enter(deps, method, call, durations);
    if (leave === undefined) return callback(noPlaceStatus());
    const exchange = new ForwardedExchange(deps, method, call, durations, leave);
    const fail = (thrown: unknown): void => {
      exchange.end(thrown);
      callback(toStatusObject(thrown));
    };
    exchange
      .admit()
      .then((admitted) => {
        if (call.cancelled) return fail(new AppError('CANCELLED', 'The caller went away'));
        const cancel = deps.upstreams[method.owner].unary(
          exchange.forwarded(admitted, call.request),
          (failure, bytes, headers) => {
            exchange.end(failure?.error);
            const metadata = answerMetadata(headers);
            if (metadata !== undefined && failure === undefined) call.sendMetadata(metadata);
            if (failure === undefined) callback(null, bytes);
            else callback(statusOf(failure));
          },
        );
        call.on('cancelled', cancel);
      })
      .catch(fail);
  };
}

function streamHandler(deps: ForwardDeps, method: PublicMethod, durations: RpcDurations) {
  return (call: ServerWritableStream<Buffer, Buffer>): void => {
    const leave = enter(deps, method, call, durations);
    if (leave === undefined) return void call.emit('error', noPlaceStatus());
    const exchange = new ForwardedExchange(deps, method, call, durations, leave);
    const fail = (thrown: unknown): void => {
      exchange.end(thrown);
      call.emit('error', toStatusObject(thrown));
    };
    exchange
      .admit()
      .then((admitted) => {
        if (call.cancelled) return fail(new AppError('CANCELLED', 'The caller went away'));
        const upstream = deps.upstreams[method.owner].stream(exchange.forwarded(admitted, call.request), {
          headers(headers) {
            const metadata = answerMetadata(headers);
            if (metadata !== undefined) call.sendMetadata(metadata);
          },
          message(bytes) {
            if (!call.cancelled && !call.write(bytes)) upstream.pause();
          },
          end(failure) {
            exchange.end(failure?.error);
            if (failure === undefined) call.end();
            else call.emit('error', statusOf(failure));
          },
        });
        call.on('drain', () => upstream.resume());
        call.on('cancelled', () => {
          upstream.cancel();
          // A paused stream would never tell its end.
          upstream.resume();
        });
      })
      .catch(fail);
  };
}

function gatheringHandler(deps: ForwardDeps, method: PublicMethod, durations: RpcDurations) {
  return (
    call: ServerReadableStream<Buffer, Buffer>,
    callback: (error: Partial<StatusObject> | null, bytes?: Buffer) => void,
  ) => {
    const leave = enter(deps, method, call, durations);
    if (leave === undefined) return callback(toStatusObject(noPlace()));
    const exchange = new ForwardedExchange(deps, method, call, durations, leave);
    let answer: Buffer | undefined;
    let metadata: Metadata | undefined;
    void forwardStreamed(deps, exchange, call, {
      headers(headers) {
        metadata = answerMetadata(headers);
      },
      message(bytes) {
        answer = bytes;
        return true;
      },
      drained() {},
      end(failure) {
        if (failure !== undefined) return callback(statusOf(failure));
        if (answer === undefined) return callback(toStatusObject(new AppError('INTERNAL', 'The owner gave no answer')));
        if (metadata !== undefined) call.sendMetadata(metadata);
        callback(null, answer);
      },
      fail: (thrown) => callback(toStatusObject(thrown)),
    });
  };
}

function duplexHandler(deps: ForwardDeps, method: PublicMethod, durations: RpcDurations) {
  return (call: ServerDuplexStream<Buffer, Buffer>): void => {
    const leave = enter(deps, method, call, durations);
    if (leave === undefined) return void call.emit('error', toStatusObject(noPlace()));
    const exchange = new ForwardedExchange(deps, method, call, durations, leave);
    void forwardStreamed(deps, exchange, call, {
      headers(headers) {
        const metadata = answerMetadata(headers);
        if (metadata !== undefined) call.sendMetadata(metadata);
      },
      message: (bytes) => call.write(bytes),
      drained: (listener) => void call.on('drain', listener),
      end(failure) {
        if (failure === undefined) call.end();
        else call.emit('error', statusOf(failure));
      },
      fail: (thrown) => void call.emit('error', toStatusObject(thrown)),
    });
  };
}

// Before the key is looked at, and before a span is begun.
function enter(
  deps: ForwardDeps,
  method: PublicMethod,
  call: Pick<ServerUnaryCall<Buffer, Buffer>, 'metadata' | 'getPeer'> & { readonly request?: Buffer },
  durations: RpcDurations,
): Leave | undefined {
  const turnstile = deps.turnstiles.of(method);
  const caller = call.metadata.get('authorization')[0]?.toString() ?? call.getPeer();
  const leave = turnstile.enter(caller, call.request?.length ?? 0);
  if (leave === undefined) {
    deps.turnstiles.refused(turnstile);
    durations.record(0, method.path.slice(1), noPlace());
  }
  return leave;
}

// There are few of them, and under load many are sent: each is written once.
const refusalStatuses = new WeakMap<AppError, StatusObject>();

function noPlaceStatus(): StatusObject {
  const error = noPlace();
  let known = refusalStatuses.get(error);
  if (known === undefined) {
    known = toStatusObject(error);
    refusalStatuses.set(error, known);
  }
  return known;
}

// HTTP's own words stay behind; where a resource is to be found is of use to every caller.
function answerMetadata(headers: AnswerHeaders): Metadata | undefined {
  if (headers.location === undefined) return undefined;
  const metadata = new Metadata();
  metadata.set('location', headers.location);
  return metadata;
}

// A status with details is passed on as it is, unless it is too long for some clients; what the transport said is put in our words.
function statusOf(failure: UpstreamFailure): Partial<StatusObject> {
  const details = failure.raw.metadata?.get('grpc-status-details-bin')[0];
  const { reason } = normalizeError(failure.error);
  if (!Buffer.isBuffer(details) || reason === 'INTERNAL') return toStatusObject(failure.error);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', shortDetails(details, failure.raw.details));
  return { code: failure.raw.code, details: failure.raw.details, metadata };
}
