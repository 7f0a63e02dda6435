import type { Metadata } from '@grpc/grpc-js';
import type { Context } from '@opentelemetry/api';
import type { CallContext, Principal } from '../call-context.ts';
import { decodePrincipal } from '../call-context.ts';
import { AppError } from '../error/app-error.ts';
import type { Logger } from '../log/logger.ts';
import { traceIdOf } from '../telemetry/traceparent.ts';

/** The part of a grpc-js server call that every call shape has. */
export type RawCall = {
  readonly metadata: Pick<Metadata, 'get'>;
  /** True if what it came in was let in already. */
  readonly isTrusted?: boolean;
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
  sendMetadata(metadata: Metadata): void;
};

// A caller's deadline passes at the caller first: its cancel is here before our own clock of that deadline, begun a transit later, is up.
const transitMs = 100;

/** The context of one call that grpc-js serves. */
export class ServerCallContext implements CallContext {
  readonly deadlineMs: number | undefined;
  readonly principal: Principal | undefined;
  readonly trace: Context;
  private readonly raw: RawCall;
  private readonly parentLog: Logger;
  private replyMetadata: Metadata | undefined;
  private readonly makeMetadata: () => Metadata;
  private controller: AbortController | undefined;
  private settled = false;

  constructor(raw: RawCall, trace: Context, log: Logger, makeMetadata: () => Metadata) {
    this.raw = raw;
    this.trace = trace;
    this.parentLog = log;
    this.makeMetadata = makeMetadata;
    const deadline = Number(raw.getDeadline());
    this.deadlineMs = Number.isFinite(deadline) ? deadline : undefined;
    const principal = this.header('signet-principal');
    this.principal = principal === undefined ? undefined : decodePrincipal(principal);
    raw.on('cancelled', () => this.abort());
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.raw.cancelled) this.abort();
    }
    return this.controller.signal;
  }

  get log(): Logger {
    return this.parentLog.child({ trace_id: this.traceId });
  }

  /** The trace of the call, 32 hex digits. */
  get traceId(): string {
    return traceIdOf(this.trace);
  }

  header(name: string): string | undefined {
    const value = this.raw.metadata.get(name)[0];
    return value === undefined ? undefined : value.toString();
  }

  reply(name: string, value: string): void {
    this.replyMetadata ??= this.makeMetadata();
    this.replyMetadata.set(name, value);
  }

  /** Sends the headers that were set, once, before the first answer. */
  flushReply(): void {
    if (this.replyMetadata === undefined) return;
    this.raw.sendMetadata(this.replyMetadata);
    this.replyMetadata = undefined;
  }

  /** Disarms cancellation: grpc-js also says `cancelled` after a call that ended well. */
  settle(): void {
    this.settled = true;
  }

  private abort(): void {
    if (this.settled || this.controller === undefined) return;
    const late = this.deadlineMs !== undefined && Date.now() >= this.deadlineMs - transitMs;
    this.controller.abort(
      late
        ? new AppError('DEADLINE_EXCEEDED', 'The deadline passed before the call ended')
        : new AppError('CANCELLED', 'The caller went away'),
    );
  }
}
