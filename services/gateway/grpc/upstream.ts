import { Channel, credentials, status as grpcStatus, Metadata, type StatusObject } from '@grpc/grpc-js';
import type { Context } from '@opentelemetry/api';
import { encodePrincipal, type Principal } from '@signet/kit/call-context.ts';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { replicaOptions, replicaTarget, tryAgain, wasNeverSent } from '@signet/kit/grpc/replicas.ts';
import { lastRequestHeader } from '@signet/kit/grpc/request-stream.ts';
import { channelOptions } from '@signet/kit/grpc/server.ts';
import { fromServiceError } from '@signet/kit/grpc/status.ts';
import { endSpan, SpanKind, startSpan } from '@signet/kit/telemetry/span.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { AttachedSession, SessionCall } from './attached-session.ts';
import type { AttachedSessions } from './attached-sessions.ts';
import { carefulListener } from './careful-listener.ts';
import { type DuplexHandle, openDuplex } from './duplex.ts';

/** What the gateway needs to call an owner. */
export type UpstreamDeps = {
  readonly telemetry: Telemetry;
  readonly internalToken: string;
  /** What the owner is called in messages. */
  readonly owner: string;
  /** `host:port`, or several separated by commas; a name may stand for several replicas, which share the calls. */
  readonly address: string;
  /** Streams that carry small unary calls, while there are some; absent for an owner that has none. */
  readonly sessions?: AttachedSessions;
};

/** One call to be forwarded; the message stays bytes. */
export type ForwardedCall = {
  readonly path: string;
  /** True if it changes nothing: another replica may be asked. */
  readonly isRead: boolean;
  readonly message: Buffer;
  /** When the caller stops waiting, in milliseconds since 1970. */
  readonly deadlineMs: number;
  readonly principal: Principal;
  /** The server span that this call is a child of. */
  readonly trace: Context;
  /** Request metadata that travels on: `prefer` and `signet-payload` only. */
  readonly metadata: Readonly<Record<string, string | undefined>>;
};

/** What an owner says before its answer. */
export type AnswerHeaders = { readonly httpStatus: string | undefined; readonly location: string | undefined };

/** Ends a call early; without effect once it has ended. */
export type Cancel = () => void;

/** Hears what becomes of a stream; `end` comes once and last. */
export type StreamListener = {
  headers(headers: AnswerHeaders): void;
  message(bytes: Buffer): void;
  end(failure: UpstreamFailure | undefined): void;
};

/** A stream under way. */
export type StreamHandle = { cancel: Cancel; pause(): void; resume(): void };

/** Why a call failed: as our error, and as it came. */
export type UpstreamFailure = { readonly error: AppError; readonly raw: StatusObject };

/** Hears how a unary call ended, once. */
export type UnaryDone = (failure: UpstreamFailure | undefined, message: Buffer, headers: AnswerHeaders) => void;

/** A channel to the owner of public services, for bytes. */
export type Upstream = {
  unary(call: ForwardedCall, done: UnaryDone): Cancel;
  stream(call: ForwardedCall, listener: StreamListener): StreamHandle;
  /** A call whose requests are streamed; the message of `call` is not looked at. */
  duplex(call: ForwardedCall, listener: StreamListener): DuplexHandle;
  close(): void;
};

/** A larger request would keep the others of its stream waiting: it goes by itself. */
const carriedBytesMax = 65_536;

const noHeaders: AnswerHeaders = { httpStatus: undefined, location: undefined };

/** Opens a channel; it connects at its first use and again whenever it broke. */
export function createUpstream(deps: UpstreamDeps): Upstream {
  // Calls are made on the channel itself: a grpc-js client would add its interceptors and a stack trace to each, which is a
  // fifth of the gateway's work.
  const target = replicaTarget(deps.address);
  const channel = new Channel(target, credentials.createInsecure(), { ...channelOptions, ...replicaOptions });
  const bearer = `Bearer ${deps.internalToken}`;

  const begin = (call: ForwardedCall) => {
    const { span, context } = startSpan(deps.telemetry.tracer, call.path.slice(1), call.trace, SpanKind.CLIENT);
    const metadata = new Metadata();
    metadata.set('authorization', bearer);
    metadata.set('signet-principal', principalText(call.principal));
    const traceparent = traceparentOf(context);
    if (traceparent !== '') metadata.set('traceparent', traceparent);
    for (const name in call.metadata) {
      const value = call.metadata[name];
      if (value !== undefined) metadata.set(name, value);
    }
    const upstream = channel.createCall(call.path, call.deadlineMs, null, null, null);
    return { span, metadata, upstream };
  };
  const send = (upstream: ReturnType<Channel['createCall']>, message: Buffer): void => {
    upstream.sendMessageWithContext({}, message);
    upstream.halfClose();
    upstream.startRead();
  };

  const carry = (session: AttachedSession, call: ForwardedCall, done: UnaryDone): Cancel => {
    const { span, context } = startSpan(deps.telemetry.tracer, call.path.slice(1), call.trace, SpanKind.CLIENT);
    return session.call(carriedCall(call, traceparentOf(context)), (outcome) => {
      if (outcome.ok) {
        endSpan(span);
        const { httpStatus, location } = outcome;
        done(undefined, outcome.response, { httpStatus: httpStatus || undefined, location: location || undefined });
        return;
      }
      const failure = failureOf(outcome.raw, deps.owner, false)!;
      endSpan(span, failure.error);
      done(failure, noBytes, noHeaders);
    });
  };
  const unaryAlone = (call: ForwardedCall, done: UnaryDone): Cancel =>
    repeatedly(call, (hand) => {
      const { span, metadata, upstream } = begin(call);
      let headers = noHeaders;
      let answer: Buffer | undefined;
      upstream.start(metadata, {
        onReceiveMetadata(received) {
          headers = readHeaders(received);
        },
        onReceiveMessage(bytes: Buffer) {
          answer = bytes;
        },
        onReceiveStatus(raw) {
          const failure = failureOf(raw, deps.owner, answer !== undefined);
          endSpan(span, failure?.error);
          if (answer === undefined && hand.again(failure)) return;
          done(failure, answer ?? noBytes, headers);
        },
      });
      send(upstream, call.message);
      return upstream;
    }).cancel;

  return {
    unary(call, done) {
      // What is read may be large, and may be asked of another replica: it goes by itself, too.
      const isSmall = !call.isRead && call.message.length <= carriedBytesMax;
      const session = isSmall ? deps.sessions?.next() : undefined;
      return session === undefined ? unaryAlone(call, done) : carry(session, call, done);
    },
    stream(call, given) {
      const listener = carefulListener(given, () => attempt.cancel());
      let paused = false;
      let readDue = false;
      let isTold = false;
      const attempt = repeatedly(call, (hand) => {
        const { span, metadata, upstream } = begin(call);
        upstream.start(metadata, {
          onReceiveMetadata: (received) => listener.headers(readHeaders(received)),
          onReceiveMessage(bytes: Buffer) {
            isTold = true;
            listener.message(bytes);
            if (paused) readDue = true;
            else upstream.startRead();
          },
          onReceiveStatus(raw) {
            const failure = failureOf(raw, deps.owner, true);
            endSpan(span, failure?.error);
            if (isTold || !hand.again(failure)) listener.end(failure);
          },
        });
        send(upstream, call.message);
        return upstream;
      });
      return {
        cancel: attempt.cancel,
        pause() {
          paused = true;
        },
        resume() {
          paused = false;
          if (readDue) attempt.current()?.startRead();
          readDue = false;
        },
      };
    },
    duplex(call, listener) {
      const { span, metadata, upstream } = begin(call);
      metadata.set(lastRequestHeader.name, lastRequestHeader.value);
      const told = (failure: UpstreamFailure | undefined) => {
        endSpan(span, failure?.error);
        return failure;
      };
      const failed = (raw: StatusObject) => told(failureOf(raw, deps.owner, true));
      const careful = carefulListener(listener, () => handle.cancel());
      const handle = openDuplex({ upstream, metadata, readHeaders, failureOf: failed }, careful);
      return handle;
    },
    close() {
      deps.sessions?.close();
      channel.close();
    },
  };
}

const noBytes = Buffer.alloc(0);

function carriedCall(call: ForwardedCall, traceparent: string): SessionCall {
  const { path, message, deadlineMs, metadata } = call;
  return {
    ...{ path, request: message, deadlineMs, traceparent, principal: principalText(call.principal) },
    prefer: metadata.prefer ?? '',
    payload: metadata['signet-payload'] ?? '',
  };
}

type Attempt = ReturnType<Channel['createCall']>;

/** What an attempt is handed: `again` takes its failure over if another attempt is to be made. */
type Hand = { again(failure: UpstreamFailure | undefined): boolean };

// Nobody is told of a replica that went away where another can do the same: what was never sent, and what changes nothing.
function repeatedly(call: ForwardedCall, start: (hand: Hand) => Attempt) {
  let current: Attempt | undefined;
  let timer: NodeJS.Timeout | undefined;
  let tries = 0;
  let isCancelled = false;
  const hand: Hand = {
    again(failure) {
      if (failure === undefined || isCancelled || tries >= tryAgain.timesMax || !mayRepeat(call, failure)) return false;
      tries += 1;
      timer = setTimeout(() => {
        timer = undefined;
        current = start(hand);
      }, tryAgain.afterMs);
      return true;
    },
  };
  current = start(hand);
  return {
    current: () => current,
    cancel(): void {
      isCancelled = true;
      if (timer !== undefined) {
        // Nothing is under way that could tell its end.
        clearTimeout(timer);
        timer = undefined;
        current = start(hand);
      }
      current?.cancelWithStatus(grpcStatus.CANCELLED, 'The caller went away');
    },
  };
}

function mayRepeat({ isRead }: ForwardedCall, { error, raw }: UpstreamFailure): boolean {
  if (wasNeverSent(raw)) return true;
  if (!isRead || raw.code !== grpcStatus.UNAVAILABLE) return false;
  const isFromTransport = raw.metadata.get('grpc-status-details-bin').length === 0;
  return isFromTransport || error.reason === 'SHUTTING_DOWN';
}

// Principals are few and live as long as their cached key.
const principalTexts = new WeakMap<Principal, string>();

function principalText(principal: Principal): string {
  let text = principalTexts.get(principal);
  if (text === undefined) {
    text = encodePrincipal(principal);
    principalTexts.set(principal, text);
  }
  return text;
}

function readHeaders(metadata: Metadata): AnswerHeaders {
  return {
    httpStatus: metadata.get('signet-http-status')[0]?.toString(),
    location: metadata.get('location')[0]?.toString(),
  };
}

function failureOf(raw: StatusObject, owner: string, answered: boolean): UpstreamFailure | undefined {
  if (raw.code === grpcStatus.OK && answered) return undefined;
  const thrown = Object.assign(new Error(`${owner}: ${grpcStatus[raw.code]} ${raw.details}`), raw);
  // UNAUTHENTICATED can only mean our own token, as the caller's key was checked here: the caller cannot mend that.
  const ours = raw.code === grpcStatus.UNAUTHENTICATED || raw.code === grpcStatus.OK;
  return { error: ours ? normalizeError(thrown) : fromServiceError(thrown, owner), raw };
}
