import type { ServerResponse } from 'node:http';
import type { DescMessage } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { ForwardedCall, Upstream } from '../grpc/upstream.ts';
import { messageReader, messageToJson, readSlots } from './codec/wire-to-json.ts';
import type { HttpExchange } from './exchange.ts';
import { type Problem, problemOf } from './problem.ts';
import type { OpenCall } from './transcode.ts';

/** What a stream of events needs. */
export type EventStreamDeps = {
  readonly upstream: Upstream;
  /** Milliseconds of silence after which a comment is sent. */
  readonly heartbeatMs: number;
  /** Called once when the stream has ended, with what ended it if it was a failure. */
  readonly onEnd: () => void;
  /** Answers an ordinary problem: the stream failed before its first event. */
  readonly refuse: (error: AppError) => void;
  /** Puts an owner's error into the caller's spelling. */
  readonly translate: (error: AppError) => AppError;
};

/**
 * Passes a server stream on as server-sent events. The head is sent with the first event, or with the first heartbeat, so that
 * an early failure is an ordinary answer. A slow reader holds back its own call; one that goes away ends it.
 */
export function streamEvents(
  deps: EventStreamDeps,
  exchange: HttpExchange,
  call: ForwardedCall,
  response: ServerResponse,
): OpenCall {
  const desc = exchange.match!.route.method.desc.output;
  let ended = false;
  const open = (): void => {
    if (response.headersSent) return;
    response.writeHead(200, {
      ...exchange.answerHeaders(),
      'content-type': 'text/event-stream; charset=utf-8',
      'x-accel-buffering': 'no',
    });
  };
  let corked = false;
  const write = (text: string): boolean => {
    open();
    const { socket } = response;
    if (!corked && socket !== null) {
      // What comes in one turn of the event loop leaves in one write.
      corked = true;
      socket.cork();
      setImmediate(() => {
        corked = false;
        socket.uncork();
      });
    }
    return response.write(text);
  };
  const heartbeat = setInterval(() => write(': \n\n'), deps.heartbeatMs);
  const finish = (error: AppError | undefined): void => {
    if (ended) return;
    ended = true;
    clearInterval(heartbeat);
    exchange.settled();
    deps.onEnd();
    if (response.destroyed) {
      if (error !== undefined) exchange.failed(error);
      return;
    }
    if (error !== undefined && !response.headersSent) {
      deps.refuse(error);
      return;
    }
    if (error !== undefined) write(errorEvent(problemOf(exchange.failed(error), exchange.traceId)));
    else open();
    response.end();
  };
  const upstream = deps.upstream.stream(call, {
    headers({ location }) {
      if (location !== undefined) exchange.headers.location = location;
    },
    message(bytes) {
      if (!ended && !response.destroyed && !write(eventText(desc, bytes))) upstream.pause();
    },
    end: (failure) => finish(failure === undefined ? undefined : deps.translate(failure.error)),
  });
  response.on('drain', () => upstream.resume());
  exchange.onGone(() => {
    upstream.cancel();
    upstream.resume();
    finish(new AppError('CANCELLED', 'The caller went away'));
  });
  return {
    end(error) {
      upstream.cancel();
      upstream.resume();
      finish(error);
    },
  };
}

function errorEvent(problem: Problem): string {
  return `event: error\ndata: ${JSON.stringify(problem)}\n\n`;
}

/** One message as an event: its name is the oneof's member, its data that member, its id the message's `sequence`. */
export function eventText(desc: DescMessage, bytes: Uint8Array): string {
  const shape = messageReader(desc);
  const slots = readSlots(shape, new BinaryReader(bytes), bytes.length);
  const set = desc.fields.findIndex((field, slot) => field.oneof !== undefined && slots[slot] !== undefined);
  const sequence = slots[desc.fields.findIndex((field) => field.name === 'sequence')]?.replaceAll('"', '');
  const id = sequence === undefined || sequence === '0' ? '' : `id: ${sequence}\n`;
  if (set < 0) return `${id}data: ${oneLine(messageToJson(desc, bytes).json)}\n\n`;
  return `event: ${desc.fields[set]!.name}\n${id}data: ${oneLine(slots[set]!)}\n\n`;
}

// A raw line break in JSON can only be white space; in an event it would end the data.
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, ' ') : json;
}
