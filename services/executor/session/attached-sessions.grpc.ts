import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { status as grpcStatus, type MethodDefinition, type ServerDuplexStream, type StatusObject } from '@grpc/grpc-js';
import type { CarriedMethod, CarriedOutcome } from '@signet/kit/grpc/carried-call.ts';
import { Outbox } from '@signet/kit/grpc/outbox.ts';
import { transportLimitBytes } from '@signet/kit/grpc/server.ts';
import { Status } from '@signet/proto/gen/google/rpc/status.ts';
import {
  type AnswerFrame,
  type AttachedSessionRequest,
  AttachedSessionResponse,
  type CallFrame,
  type CarriedCall,
  ExecutorInternalServiceService,
} from '@signet/proto/gen/signet/internal/v1/executor.ts';

type Stream = ServerDuplexStream<AttachedSessionRequest, AttachedSessionResponse>;

const writer = new BinaryWriter();

/** The method of sessions, with a writer that serves message after message. */
export const attachedSession: MethodDefinition<AttachedSessionRequest, AttachedSessionResponse> = {
  ...ExecutorInternalServiceService.attachedSession,
  responseSerialize(message) {
    const { buffer, byteOffset, length } = AttachedSessionResponse.encode(message, writer).finish();
    return Buffer.from(buffer, byteOffset, length);
  },
};

/** What sessions need: the door of each method for calls that come inside a stream. */
export type AttachedSessionDeps = { readonly carried: (path: string) => CarriedMethod | undefined };

/** The sessions that gateways hold with this executor. */
export class AttachedSessions {
  readonly #deps: AttachedSessionDeps;
  readonly #open = new Set<Session>();
  #isLeaving = false;

  constructor(deps: AttachedSessionDeps) {
    this.#deps = deps;
  }

  /** Takes a session over, until either side ends it. */
  serve(stream: Stream): void {
    const session = new Session(this.#deps, stream, () => this.#open.delete(session));
    this.#open.add(session);
    if (this.#isLeaving) session.leave();
  }

  /** Asks every gateway to send its calls elsewhere. What is under way, or was on its way, is answered; then the streams end. */
  leave(): void {
    this.#isLeaving = true;
    for (const session of this.#open) session.leave();
  }
}

/** One stream from one gateway. */
class Session {
  readonly #deps: AttachedSessionDeps;
  readonly #stream: Stream;
  readonly #outbox: Outbox<AnswerFrame>;
  /** How to end each call that is under way, by its number. */
  readonly #calls = new Map<number, { cancel(): void }>();
  readonly #onOver: () => void;
  #saysNoMore = false;
  #isOver = false;

  constructor(deps: AttachedSessionDeps, stream: Stream, onOver: () => void) {
    this.#deps = deps;
    this.#stream = stream;
    this.#onOver = onOver;
    this.#outbox = new Outbox((frames) => this.#send(frames), sizeOf);
    stream.on('data', ({ frames }: AttachedSessionRequest) => {
      for (const frame of frames) this.#take(frame);
    });
    stream.on('end', () => {
      this.#saysNoMore = true;
      this.#endIfIdle();
    });
    stream.on('cancelled', () => this.#over());
    stream.on('error', () => this.#over());
    stream.write({ frames: [], leaving: false });
  }

  leave(): void {
    if (!this.#isOver) this.#stream.write({ frames: [], leaving: true });
  }

  #take({ call, kind }: CallFrame): void {
    if (kind?.$case === 'start') this.#start(call, kind.value);
    else if (kind?.$case === 'cancel') {
      const known = this.#calls.get(call);
      this.#calls.delete(call);
      known?.cancel();
      this.#endIfIdle();
    }
  }

  #start(call: number, { path, request, timeoutMs, principal, traceparent, prefer, payload }: CarriedCall): void {
    const method = this.#deps.carried(path);
    if (method === undefined) {
      const failure = { code: grpcStatus.UNIMPLEMENTED, details: 'The method is not served' };
      this.#outbox.add(frameOf(call, { failure }));
      return;
    }
    const headers = { 'signet-principal': principal, traceparent, prefer, 'signet-payload': payload };
    const underWay = { cancel: () => {} };
    this.#calls.set(call, underWay);
    underWay.cancel = method({ request, deadlineMs: Date.now() + Number(timeoutMs), headers }, (outcome) => {
      // The number may be another call's by now.
      if (this.#calls.get(call) !== underWay) return;
      this.#calls.delete(call);
      this.#outbox.add(frameOf(call, outcome));
    });
  }

  #send(frames: AnswerFrame[]): void {
    if (this.#isOver) return;
    this.#stream.write({ frames, leaving: false });
    this.#endIfIdle();
  }

  // Answers that wait to be sent are sent first: what is written comes before the end.
  #endIfIdle(): void {
    if (!this.#saysNoMore || this.#isOver || this.#calls.size > 0) return;
    setImmediate(() => {
      if (this.#isOver) return;
      this.#over();
      this.#stream.end();
    });
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.cancel();
    this.#onOver();
  }
}

// A message beyond the transport's limit would end the stream with all of its calls.
const answerBytesMax = transportLimitBytes - 65_536;

function frameOf(call: number, outcome: CarriedOutcome): AnswerFrame {
  if ('failure' in outcome) return { call, kind: { $case: 'status', value: statusBytes(outcome.failure) } };
  const { response, headers } = outcome;
  if (response.length > answerBytesMax) {
    const details = `An answer of ${response.length} bytes is too large to be sent`;
    return { call, kind: { $case: 'status', value: statusBytes({ code: grpcStatus.RESOURCE_EXHAUSTED, details }) } };
  }
  const header = (name: string): string => headers?.get(name)[0]?.toString() ?? '';
  const value = { response, httpStatus: header('signet-http-status'), location: header('location') };
  return { call, kind: { $case: 'answer', value } };
}

function statusBytes({ code, details, metadata }: Partial<StatusObject>): Buffer {
  const packed = metadata?.get('grpc-status-details-bin')[0];
  if (Buffer.isBuffer(packed)) return packed;
  const message = details ?? '';
  return Buffer.from(Status.encode({ code: code ?? grpcStatus.INTERNAL, message, details: [] }).finish());
}

function sizeOf({ kind }: AnswerFrame): number {
  if (kind?.$case === 'answer') return kind.value.response.length + 64;
  return (kind?.value.length ?? 0) + 64;
}
