import {
  type CallOptions,
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import type { CallContext } from '../call-context.ts';
import { encodePrincipal } from '../call-context.ts';
import { AppError } from '../error/app-error.ts';
import { endSpan, SpanKind, startSpan } from '../telemetry/span.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { traceparentOf } from '../telemetry/traceparent.ts';
import { replicaOptions, replicaTarget, tryAgain, wasNeverSent } from './replicas.ts';
import { sendRequests } from './send-requests.ts';
import { channelOptions } from './server.ts';
import { fromServiceError } from './status.ts';

/** What a client of another process of ours needs. */
export type GrpcPeerDeps = {
  readonly telemetry: Telemetry;
  readonly internalToken: string;
  /** What the other process is called in messages, such as `registry`. */
  readonly peer: string;
  /** `host:port`, or several separated by commas; a name may stand for several replicas, which share the calls. */
  readonly address: string;
};

/** The part of a call's context that travels on. */
export type OutgoingContext = Pick<CallContext, 'signal' | 'deadlineMs' | 'trace'> & {
  readonly principal?: CallContext['principal'];
};

/** A channel to another process of ours. */
export type GrpcPeer = {
  /** Calls a unary method; deadline, cancellation, trace and principal travel on. Failures come as AppError. */
  unary<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, ctx: OutgoingContext): Promise<Res>;
  /** Opens a server stream; it ends when the iteration is left or the context is aborted. */
  stream<Req, Res>(method: MethodDefinition<Req, Res>, request: Req, ctx: OutgoingContext): AsyncIterable<Res>;
  /** Calls a client stream with requests as they come, no faster than the other side reads; leaves them once it has answered. */
  upload<Req, Res>(
    method: MethodDefinition<Req, Res>,
    requests: AsyncIterable<Req>,
    ctx: OutgoingContext,
  ): Promise<Res>;
  close(): void;
};

/** Opens a channel to another process of ours; it connects when it is first used and again whenever it broke. */
export function createGrpcPeer(deps: GrpcPeerDeps): GrpcPeer {
  const target = replicaTarget(deps.address);
  const client = new Client(target, credentials.createInsecure(), { ...channelOptions, ...replicaOptions });
  const bearer = `Bearer ${deps.internalToken}`;
  const metadataFor = (traceparent: string, ctx: OutgoingContext): Metadata => {
    const metadata = new Metadata();
    metadata.set('authorization', bearer);
    if (traceparent !== '') metadata.set('traceparent', traceparent);
    if (ctx.principal !== undefined) metadata.set('signet-principal', encodePrincipal(ctx.principal));
    return metadata;
  };
  return {
    unary(method, request, ctx) {
      const { span, context } = startSpan(deps.telemetry.tracer, method.path.slice(1), ctx.trace, SpanKind.CLIENT);
      return new Promise((resolve, reject) => {
        let tries = 0;
        const finish = (error: ServiceError | null, response: unknown): void => {
          if (error !== null && !ctx.signal.aborted && tries < tryAgain.timesMax && wasNeverSent(error)) {
            tries += 1;
            setTimeout(() => {
              call = start();
              if (ctx.signal.aborted) abort();
            }, tryAgain.afterMs);
            return;
          }
          ctx.signal.removeEventListener('abort', abort);
          const failure = error === null ? undefined : callFailure(error, ctx, deps.peer);
          endSpan(span, failure);
          if (failure === undefined) resolve(response as never);
          else reject(failure);
        };
        const start = () =>
          client.makeUnaryRequest(
            method.path,
            method.requestSerialize,
            method.responseDeserialize,
            request,
            metadataFor(traceparentOf(context), ctx),
            callOptions(ctx),
            (error, response) => finish(error, response),
          );
        let call = start();
        const abort = (): void => call.cancel();
        ctx.signal.addEventListener('abort', abort);
        if (ctx.signal.aborted) abort();
      });
    },
    async *stream(method, request, ctx) {
      const call: ClientReadableStream<never> = client.makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize as (bytes: Buffer) => never,
        request,
        metadataFor(traceparentOf(ctx.trace), ctx),
        callOptions(ctx),
      );
      const abort = (): void => call.cancel();
      ctx.signal.addEventListener('abort', abort);
      if (ctx.signal.aborted) abort();
      try {
        for await (const message of call) yield message;
      } catch (error) {
        throw callFailure(error as ServiceError, ctx, deps.peer);
      } finally {
        ctx.signal.removeEventListener('abort', abort);
        // The iteration may be left early; a late error of the cancelled call is nobody's.
        call.on('error', () => {});
        call.cancel();
      }
    },
    upload(method, requests, ctx) {
      const { span, context } = startSpan(deps.telemetry.tracer, method.path.slice(1), ctx.trace, SpanKind.CLIENT);
      const over = new AbortController();
      return new Promise((resolve, reject) => {
        let sourceFailure: { readonly error: unknown } | undefined;
        const call = client.makeClientStreamRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          metadataFor(traceparentOf(context), ctx),
          callOptions(ctx),
          (error, response) => {
            over.abort();
            ctx.signal.removeEventListener('abort', abort);
            const failure = error === null ? undefined : callFailure(error, ctx, deps.peer);
            // What the source failed with is the reason of the cancellation that followed.
            endSpan(span, sourceFailure?.error ?? failure);
            if (sourceFailure !== undefined) reject(sourceFailure.error);
            else if (failure === undefined) resolve(response as never);
            else reject(failure);
          },
        );
        const abort = (): void => call.cancel();
        ctx.signal.addEventListener('abort', abort);
        if (ctx.signal.aborted) abort();
        sendRequests(call, requests, over.signal).catch((error: unknown) => {
          sourceFailure = { error };
          call.cancel();
        });
      });
    },
    close() {
      client.close();
    },
  };
}

function callOptions(ctx: OutgoingContext): CallOptions {
  return ctx.deadlineMs === undefined ? {} : { deadline: ctx.deadlineMs };
}

function callFailure(error: ServiceError, ctx: OutgoingContext, peer: string): AppError {
  if (ctx.signal.aborted && ctx.signal.reason instanceof AppError) return ctx.signal.reason;
  return fromServiceError(error, peer);
}
