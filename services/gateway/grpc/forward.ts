import type { Metadata } from '@grpc/grpc-js';
import type { Context, Span } from '@opentelemetry/api';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { reasons } from '@signet/kit/error/reasons.ts';
import { messageLimitBytes, tooLarge } from '@signet/kit/grpc/deserialize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import type { Tally } from '@signet/kit/log/tally.ts';
import type { RpcDurations } from '@signet/kit/telemetry/call-durations.ts';
import { endSpan, SpanKind, startSpan } from '@signet/kit/telemetry/span.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { contextFromTraceparent, traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import { type AdmitDeps, type Admitted, admit } from '../admission/admit.ts';
import type { Leave } from '../admission/turnstile.ts';
import type { Turnstiles } from '../admission/turnstiles.ts';
import { defaultTimeoutMs, type Owner } from '../contract/owners.ts';
import type { PublicMethod } from '../contract/public-methods.ts';
import type { ForwardedCall, Upstream } from './upstream.ts';

/** What both doors need to pass calls on. */
export type ForwardDeps = {
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly admission: AdmitDeps;
  readonly turnstiles: Turnstiles;
  /** Tells of refusals that may be many. */
  readonly tally: Tally;
  readonly upstreams: Readonly<Record<Owner, Upstream>>;
  /** True once the gateway takes no new calls. */
  readonly draining: () => boolean;
};

/** The part of a grpc-js server call that admission needs. */
type IncomingCall = {
  readonly metadata: Metadata;
  /** Absent where requests are streamed. */
  readonly request?: Buffer;
  getDeadline(): Date | number;
  getPeer(): string;
};

/** One gRPC call on its way through: its span, its clock, its log line. */
export class ForwardedExchange {
  private readonly deps: ForwardDeps;
  private readonly method: PublicMethod;
  private readonly call: IncomingCall;
  private readonly durations: RpcDurations;
  private readonly leave: Leave;
  private readonly span: Span;
  private readonly trace: Context;
  private readonly startMs = performance.now();
  private ended = false;

  /** `leave` gives the place back that the call was let in by. */
  constructor(deps: ForwardDeps, method: PublicMethod, call: IncomingCall, durations: RpcDurations, leave: Leave) {
    this.deps = deps;
    this.method = method;
    this.call = call;
    this.durations = durations;
    this.leave = leave;
    const parent = contextFromTraceparent(this.header('traceparent'));
    const { span, context } = startSpan(deps.telemetry.tracer, method.path.slice(1), parent, SpanKind.SERVER);
    this.span = span;
    this.trace = context;
  }

  /** Who serves the method. */
  get owner(): Owner {
    return this.method.owner;
  }

  /** Lets the caller in or throws; the key is looked at before the message. */
  async admit(): Promise<Admitted> {
    const admitted = await admit(this.deps.admission, {
      authorization: this.header('authorization'),
      ip: peerIp(this.call.getPeer()),
      path: this.method.path,
      trace: this.trace,
    });
    const sizeBytes = this.call.request?.length ?? 0;
    if (sizeBytes > messageLimitBytes) throw tooLarge(sizeBytes);
    return admitted;
  }

  /** The call as it goes to its owner. */
  forwarded(admitted: Admitted, message: Buffer): ForwardedCall {
    const deadline = Number(this.call.getDeadline());
    return {
      path: this.method.path,
      isRead: this.method.isRead,
      message,
      deadlineMs: Number.isFinite(deadline) ? deadline : Date.now() + defaultTimeoutMs(this.method),
      principal: admitted.principal,
      trace: this.trace,
      metadata: { prefer: this.header('prefer'), 'signet-payload': this.header('signet-payload') },
    };
  }

  /** Ends the span, counts the time and logs a failure; once. */
  end(thrown?: unknown): void {
    if (this.ended) return;
    this.ended = true;
    const error = thrown === undefined ? undefined : normalizeError(thrown);
    if (error !== undefined) hear(this.deps, this.method, error);
    this.leave();
    const method = this.method.path.slice(1);
    const durationMs = performance.now() - this.startMs;
    this.durations.record(durationMs, method, error);
    noteCall(this.deps, { method, called: this.method, durationMs, error, trace: this.trace });
    endSpan(this.span, error);
  }

  private header(name: string): string | undefined {
    return this.call.metadata.get(name)[0]?.toString();
  }
}

/** Hears from an owner that it is full, while the call has its place still. A full queue of work for later says nothing of what runs. */
export function hear(deps: ForwardDeps, method: PublicMethod, { reason, metadata }: AppError): void {
  if (reason === 'QUEUE_FULL' && metadata.queue !== 'detached') deps.turnstiles.of(method).full();
}

/** A call that has ended, for the log. */
export type EndedCall = {
  /** As the log shows it. */
  readonly method: string;
  readonly called: PublicMethod | undefined;
  readonly durationMs: number;
  readonly error: AppError | undefined;
  readonly trace: Context;
};

/** A call that takes longer is worth a line in the log, unless it waits by its nature. */
const slowMs = 10_000;

/**
 * Logs a failure: an unexpected one with its cause as an error, any other as a warning, and those that come in masses once a second. A
 * call that took long is told of, too.
 */
export function noteCall(deps: ForwardDeps, { method, called, durationMs, error, trace }: EndedCall): void {
  const trace_id = traceIdOf(trace);
  if (error === undefined) {
    if (durationMs < slowMs || called?.streams === true || called?.name.startsWith('Wait') === true) return;
    deps.tally.note('slow', { method, duration_ms: Math.round(durationMs), trace_id }, 'a call took long');
    return;
  }
  const fields = { method, reason: error.reason, metadata: error.metadata, trace_id };
  if (reasons[error.reason].http === 500) deps.log.error({ ...fields, err: error.cause }, error.message);
  else if (error.reason === 'QUEUE_FULL' || error.reason === 'RATE_LIMITED')
    deps.tally.note(error.reason, fields, error.message);
  else deps.log.warn(fields, error.message);
}

function peerIp(peer: string): string {
  const end = peer.lastIndexOf(':');
  return (end < 0 ? peer : peer.slice(0, end)).replace(/^\[|\]$/g, '');
}
