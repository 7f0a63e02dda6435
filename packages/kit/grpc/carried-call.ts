import type { Metadata, StatusObject } from '@grpc/grpc-js';
import type { RawCall } from './server-call.ts';

/** A unary call that came inside a stream of calls, whose caller is known to be one of our own processes. */
export type CarriedRequest = {
  readonly request: Buffer;
  /** When its caller stops waiting, in milliseconds since 1970. */
  readonly deadlineMs: number;
  /** What would be metadata if it came by itself, by lower-case name; empty or absent means that it was not given. */
  readonly headers: Readonly<Record<string, string>>;
};

/** How a carried call ended: its answer with the headers that go before it, or its failure. */
export type CarriedOutcome =
  | { readonly response: Buffer; readonly headers: Pick<Metadata, 'get'> | undefined }
  | { readonly failure: Partial<StatusObject> };

/** Hears once how a call ended. */
export type CarriedDone = (outcome: CarriedOutcome) => void;

/** Begins a carried call of one method; gives the way to tell that nobody waits for it any more. */
export type CarriedMethod = (call: CarriedRequest, done: CarriedDone) => () => void;

/** A carried call in the shape that handlers of calls know. */
export class CarriedCall implements RawCall {
  readonly request: unknown;
  /** What its stream was let in by holds for it as well. */
  readonly isTrusted = true;
  cancelled = false;
  /** The headers of the answer; undefined if none were set. */
  reply: Metadata | undefined;
  private readonly headers: CarriedRequest['headers'];
  private readonly deadlineMs: number;
  private listener: (() => void) | undefined;

  constructor(request: unknown, { headers, deadlineMs }: CarriedRequest) {
    this.request = request;
    this.headers = headers;
    this.deadlineMs = deadlineMs;
  }

  get metadata(): Pick<Metadata, 'get'> {
    return this;
  }

  get(name: string): string[] {
    const value = this.headers[name];
    return value === undefined || value === '' ? [] : [value];
  }

  getDeadline(): number {
    return this.deadlineMs;
  }

  on(_event: 'cancelled', listener: () => void): void {
    this.listener = listener;
  }

  sendMetadata(metadata: Metadata): void {
    this.reply = metadata;
  }

  /** Nobody waits for it any more. */
  cancel(): void {
    this.cancelled = true;
    this.listener?.();
  }
}
