import { type Channel, status as grpcStatus, type Metadata, type StatusObject } from '@grpc/grpc-js';
import { lastRequest } from '@signet/kit/grpc/request-stream.ts';
import type { AnswerHeaders, StreamHandle, StreamListener, UpstreamFailure } from './upstream.ts';

/** A call under way whose requests come one by one. Nothing of it is ever tried again. */
export type DuplexHandle = StreamHandle & {
  /** Sends a request; resolves when the owner has room for the next one, and when the call is over. One at a time. */
  send(message: Buffer): Promise<void>;
  /** There are no more requests; resolves as `send` does. Without it the owner takes nothing for the whole. */
  finish(): Promise<void>;
};

/** How a channel's call is begun and what its words mean. */
export type DuplexOpening = {
  readonly upstream: ReturnType<Channel['createCall']>;
  readonly metadata: Metadata;
  readHeaders(metadata: Metadata): AnswerHeaders;
  /** Undefined if the call ended well. */
  failureOf(raw: StatusObject): UpstreamFailure | undefined;
};

/** Begins a call whose requests are streamed, its answers too or not. */
export function openDuplex(opening: DuplexOpening, listener: StreamListener): DuplexHandle {
  const { upstream } = opening;
  let paused = false;
  let readDue = false;
  let isOver = false;
  let sent: (() => void) | undefined;
  upstream.start(opening.metadata, {
    onReceiveMetadata: (received) => listener.headers(opening.readHeaders(received)),
    onReceiveMessage(bytes: Buffer) {
      listener.message(bytes);
      if (paused) readDue = true;
      else upstream.startRead();
    },
    onReceiveStatus(raw) {
      isOver = true;
      // Nobody else would say that what was being sent will never arrive.
      sent?.();
      listener.end(opening.failureOf(raw));
    },
  });
  upstream.startRead();
  const send = (message: Buffer): Promise<void> =>
    new Promise((resolve) => {
      if (isOver) return resolve();
      sent = resolve;
      upstream.sendMessageWithContext({ callback: () => resolve() }, message);
    });
  return {
    cancel: () => upstream.cancelWithStatus(grpcStatus.CANCELLED, 'The caller went away'),
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      if (readDue) upstream.startRead();
      readDue = false;
    },
    send,
    async finish() {
      await send(lastRequest);
      if (!isOver) upstream.halfClose();
    },
  };
}
