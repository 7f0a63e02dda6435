import type { Readable } from 'node:stream';
import { AppError } from '@signet/kit/error/app-error.ts';
import { messageLimitBytes, tooLarge } from '@signet/kit/grpc/deserialize.ts';
import { messagesOf } from '@signet/kit/grpc/request-stream.ts';
import type { DuplexHandle } from './duplex.ts';
import type { ForwardDeps, ForwardedExchange } from './forward.ts';
import type { AnswerHeaders, UpstreamFailure } from './upstream.ts';

/** The part that calls with streamed requests have in common. */
type StreamedCall = Readable & { readonly cancelled: boolean };

/** What becomes of the answers of a call with streamed requests. */
export type StreamedAnswer = {
  headers(headers: AnswerHeaders): void;
  /** False if the caller has no room for more; `drained` is heard when there is. */
  message(bytes: Buffer): boolean;
  drained(listener: () => void): void;
  end(failure: UpstreamFailure | undefined): void;
  /** Refuses what was never sent on, or is not to go on. */
  fail(thrown: unknown): void;
};

/**
 * Forwards a call whose requests are streamed: each is read when the owner has room for it, each answer when the caller has. A request of
 * more than 4 MiB ends the call with PAYLOAD_TOO_LARGE.
 */
export async function forwardStreamed(
  deps: ForwardDeps,
  exchange: ForwardedExchange,
  call: StreamedCall,
  answer: StreamedAnswer,
): Promise<void> {
  let upstream: DuplexHandle | undefined;
  try {
    const admitted = await exchange.admit();
    if (call.cancelled) throw new AppError('CANCELLED', 'The caller went away');
    const forwarded = exchange.forwarded(admitted, noBytes);
    let isOver = false;
    const opened = deps.upstreams[exchange.owner].duplex(forwarded, {
      headers: answer.headers,
      message(bytes) {
        if (!isOver && !call.cancelled && !answer.message(bytes)) opened.pause();
      },
      end(failure) {
        if (isOver) return;
        isOver = true;
        exchange.end(failure?.error);
        answer.end(failure);
      },
    });
    upstream = opened;
    answer.drained(() => opened.resume());
    call.on('cancelled', () => {
      opened.cancel();
      // A paused stream would never tell its end.
      opened.resume();
    });
    try {
      await sendAll(call, opened, () => isOver);
    } catch (error) {
      if (isOver || call.cancelled) return;
      isOver = true;
      throw error;
    }
  } catch (thrown) {
    exchange.end(thrown);
    answer.fail(thrown);
    upstream?.cancel();
    upstream?.resume();
  }
}

const noBytes = Buffer.alloc(0);

async function sendAll(call: StreamedCall, upstream: DuplexHandle, isOver: () => boolean): Promise<void> {
  for await (const bytes of messagesOf<Buffer>(call)) {
    if (isOver()) return;
    if (bytes.length > messageLimitBytes) throw tooLarge(bytes.length);
    await upstream.send(bytes);
  }
  await upstream.finish();
}
