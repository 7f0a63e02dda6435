import { BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  Client,
  type ClientDuplexStream,
  credentials,
  status as grpcStatus,
  Metadata,
  type StatusObject,
} from '@grpc/grpc-js';
import { Outbox } from '@signet/kit/grpc/outbox.ts';
import { channelOptions } from '@signet/kit/grpc/server.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';
import {
  type AnswerFrame,
  AttachedSessionRequest,
  type AttachedSessionResponse,
  type CallFrame,
  type CarriedCall,
  ExecutorInternalServiceService,
} from '@signet/proto/gen/signet/internal/v1/executor.ts';

/** A call as it goes into a session; `deadlineMs` is when its caller stops waiting, in milliseconds since 1970. */
export type SessionCall = Omit<CarriedCall, 'timeoutMs'> & { readonly deadlineMs: number };

/** How a call of a session ended. */
export type SessionOutcome =
  | { readonly ok: true; readonly response: Buffer; readonly httpStatus: string; readonly location: string }
  | { readonly ok: false; readonly raw: StatusObject };

type Waiting = { readonly timer: NodeJS.Timeout; readonly done: (outcome: SessionOutcome) => void };

const redialFirstMs = 100;
const redialMaxMs = 1_000;
const timerMsMax = 2 ** 31 - 1;

/** One stream to one replica of the executor, opened again whenever it ends; carries the unary calls of many callers. */
export class AttachedSession {
  readonly #client: Client;
  readonly #metadata = new Metadata();
  readonly #calls = new Map<number, Waiting>();
  #stream: ClientDuplexStream<AttachedSessionRequest, AttachedSessionResponse> | undefined;
  #outbox: Outbox<CallFrame> | undefined;
  #last = 0;
  #takesCalls = false;
  #isLeaving = false;
  #redialMs = redialFirstMs;
  #redial: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `address` is `host:port` of one replica. It is dialled at once. */
  constructor(address: string, internalToken: string) {
    this.#metadata.set('authorization', `Bearer ${internalToken}`);
    this.#client = new Client(address, credentials.createInsecure(), {
      ...channelOptions,
      'grpc.initial_reconnect_backoff_ms': redialFirstMs,
      'grpc.max_reconnect_backoff_ms': redialMaxMs,
      'grpc.use_local_subchannel_pool': 1,
    });
    this.#open();
  }

  /** True while calls can be given to it: the executor has said that it is there, and not that it goes. */
  get takesCalls(): boolean {
    return this.#takesCalls;
  }

  /** Sends a call; gives the way to end it early. How it ended is told once, never before this returns. */
  call({ deadlineMs, ...call }: SessionCall, done: (outcome: SessionOutcome) => void): () => void {
    this.#last = this.#last >= 0xffff_ffff ? 1 : this.#last + 1;
    while (this.#calls.has(this.#last)) this.#last++;
    const number = this.#last;
    const leftMs = Math.max(Math.ceil(deadlineMs - Date.now()), 1);
    const end = (code: grpcStatus, details: string): void => {
      if (this.#settle(number) === undefined) return;
      this.#outbox?.add({ call: number, kind: { $case: 'cancel', value: true } });
      this.#endIfIdle();
      process.nextTick(done, failed(code, details));
    };
    const timer = setTimeout(
      () => end(grpcStatus.DEADLINE_EXCEEDED, 'Deadline exceeded'),
      Math.min(leftMs, timerMsMax),
    );
    this.#calls.set(number, { timer, done });
    this.#outbox?.add({ call: number, kind: { $case: 'start', value: { ...call, timeoutMs: BigInt(leftMs) } } });
    return () => end(grpcStatus.CANCELLED, 'The caller went away');
  }

  /** Takes no more calls and ends once the last one has its answer. */
  retire(): void {
    this.#isClosed = true;
    this.#takesCalls = false;
    clearTimeout(this.#redial);
    if (this.#stream === undefined) this.#client.close();
    else this.#endIfIdle();
  }

  /** Ends at once; calls under way fail. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#redial);
    this.#stream?.cancel();
    this.#over();
    this.#client.close();
  }

  #open(): void {
    const { path, responseDeserialize } = ExecutorInternalServiceService.attachedSession;
    const stream = this.#client.makeBidiStreamRequest(path, serialize, responseDeserialize, this.#metadata);
    this.#stream = stream;
    // What was meant for one stream never goes out on the next.
    this.#outbox = new Outbox((frames) => stream.write({ frames }), sizeOf);
    stream.on('data', (message: AttachedSessionResponse) => this.#hear(message));
    stream.on('error', () => this.#over(stream));
    stream.on('end', () => this.#over(stream));
  }

  #hear({ frames, leaving }: AttachedSessionResponse): void {
    for (const frame of frames) this.#settle(frame.call)?.done(outcomeOf(frame));
    if (leaving) {
      this.#takesCalls = false;
      this.#isLeaving = true;
    } else if (!this.#isLeaving && !this.#isClosed) {
      this.#takesCalls = true;
      this.#redialMs = redialFirstMs;
    }
    this.#endIfIdle();
  }

  #settle(number: number): Waiting | undefined {
    const waiting = this.#calls.get(number);
    if (waiting === undefined) return undefined;
    this.#calls.delete(number);
    clearTimeout(waiting.timer);
    return waiting;
  }

  // Half of the stream is closed after what was written; the executor ends the other half.
  #endIfIdle(): void {
    if (!(this.#isLeaving || this.#isClosed) || this.#calls.size > 0) return;
    const stream = this.#stream;
    setImmediate(() => stream?.end());
  }

  #over(stream = this.#stream): void {
    if (stream === undefined || stream !== this.#stream) return;
    this.#stream = undefined;
    this.#takesCalls = false;
    this.#isLeaving = false;
    const lost = [...this.#calls.keys()];
    for (const number of lost) {
      this.#settle(number)?.done(failed(grpcStatus.UNAVAILABLE, 'The stream to the executor ended'));
    }
    if (this.#isClosed) {
      this.#client.close();
      return;
    }
    this.#redial = setTimeout(() => this.#open(), this.#redialMs);
    this.#redialMs = Math.min(this.#redialMs * 2, redialMaxMs);
  }
}

function outcomeOf({ kind }: AnswerFrame): SessionOutcome {
  if (kind?.$case === 'answer') return { ok: true, ...kind.value };
  if (kind === undefined) return failed(grpcStatus.INTERNAL, 'An answer without content');
  const { code, message } = Status.decode(kind.value);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', kind.value);
  return { ok: false, raw: { code, details: message, metadata } };
}

// What it has grown to is not made anew for each message, and what comes out of it is nobody else's.
const writer = new BinaryWriter();

function serialize(message: AttachedSessionRequest): Buffer {
  const { buffer, byteOffset, length } = AttachedSessionRequest.encode(message, writer).finish();
  return Buffer.from(buffer, byteOffset, length);
}

function failed(code: grpcStatus, details: string): SessionOutcome {
  return { ok: false, raw: { code, details, metadata: new Metadata() } };
}

function sizeOf({ kind }: CallFrame): number {
  return kind?.$case === 'start' ? kind.value.request.length + 256 : 8;
}
