import type { Metadata } from '@grpc/grpc-js';
import type { Context, Histogram, Span } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { reasons } from '@signet/kit/error/reasons.ts';
import { messageLimitBytes, tooLarge } from '@signet/kit/grpc/deserialize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { endSpan, SpanKind, startSpan } from '@signet/kit/telemetry/span.ts';
import type { Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { contextFromTraceparent, traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import { type AdmitDeps, type Admitted, admit } from '../admission/admit.ts';
import { defaultTimeoutMs, type Owner } from '../contract/owners.ts';
import type { PublicMethod } from '../contract/public-methods.ts';
import type { ForwardedCall, Upstream } from './upstream.ts';

/** What both doors need to pass calls on. */
export type ForwardDeps = {
  readonly telemetry: Telemetry;
  readonly log: Logger;
  readonly admission: AdmitDeps;
  readonly upstreams: Readonly<Record<Owner, Upstream>>;
  /** True once the gateway takes no new calls. */
  readonly draining: () => boolean;
};

/** The part of a grpc-js server call that admission needs. */
type IncomingCall = {
  readonly metadata: Metadata;
  readonly request: Buffer;
  getDeadline(): Date | number;
  getPeer(): string;
};

/** One gRPC call on its way through: its span, its clock, its log line. */
export class ForwardedExchange {
  private readonly deps: ForwardDeps;
  private readonly method: PublicMethod;
  private readonly call: IncomingCall;
  private readonly durations: Histogram;
  private readonly span: Span;
  private readonly trace: Context;
  private readonly startMs = performance.now();
  private ended = false;

  constructor(deps: ForwardDeps, method: PublicMethod, call: IncomingCall, durations: Histogram) {
    this.deps = deps;
    this.method = method;
    this.call = call;
    this.durations = durations;
    const parent = contextFromTraceparent(this.header('traceparent'));
    const { span, context } = startSpan(deps.telemetry.tracer, method.path.slice(1), parent, SpanKind.SERVER);
    this.span = span;
    this.trace = context;
  }

  /** Lets the caller in or throws; the key is looked at before the message. */
  async admit(): Promise<Admitted> {
    if (this.deps.draining())
      throw new AppError('SHUTTING_DOWN', 'The gateway is shutting down', { retryAfterMs: 1000 });
    const admitted = await admit(this.deps.admission, {
      authorization: this.header('authorization'),
      ip: peerIp(this.call.getPeer()),
      path: this.method.path,
      trace: this.trace,
    });
    if (this.call.request.length > messageLimitBytes) throw tooLarge(this.call.request.length);
    return admitted;
  }

  /** The call as it goes to its owner. */
  forwarded(admitted: Admitted, message: Buffer): ForwardedCall {
    const deadline = Number(this.call.getDeadline());
    return {
      path: this.method.path,
      message,
      deadlineMs: Number.isFinite(deadline) ? deadline : Date.now() + defaultTimeoutMs(this.method.owner),
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
    this.durations.record(performance.now() - this.startMs, {
      'rpc.method': this.method.path.slice(1),
      'rpc.response.status_code': error?.reason ?? 'OK',
    });
    if (error !== undefined) logFailure(this.deps.log, this.method.path.slice(1), error, this.trace);
    endSpan(this.span, error);
  }

  private header(name: string): string | undefined {
    return this.call.metadata.get(name)[0]?.toString();
  }
}

/** Logs a refusal as a warning and an unexpected failure, with its cause, as an error. */
export function logFailure(log: Logger, method: string, error: AppError, trace: Context): void {
  const fields = { method, reason: error.reason, metadata: error.metadata, trace_id: traceIdOf(trace) };
  if (reasons[error.reason].http === 500) log.error({ ...fields, err: error.cause }, error.message);
  else log.warn(fields, error.message);
}

function peerIp(peer: string): string {
  const end = peer.lastIndexOf(':');
  return (end < 0 ? peer : peer.slice(0, end)).replace(/^\[|\]$/g, '');
}
