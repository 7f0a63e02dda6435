import type { ServerResponse } from 'node:http';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { ForwardedCall } from '../grpc/upstream.ts';
import type { EventStreamDeps } from './event-stream.ts';
import type { HttpExchange } from './exchange.ts';
import { readFileBody } from './read-file-body.ts';
import type { OpenCall } from './transcode.ts';

/**
 * Passes a file on as its pieces come, of the type that the first one names. A failure before the first piece is an ordinary answer; a
 * later one breaks the connection off, as nothing else tells a reader that the file is not whole. A slow reader holds back its own call.
 */
export function streamFile(
  deps: EventStreamDeps,
  exchange: HttpExchange,
  call: ForwardedCall,
  response: ServerResponse,
): OpenCall {
  let ended = false;
  const open = (contentType: string): void => {
    if (response.headersSent) return;
    const type = contentType === '' ? 'application/octet-stream' : contentType;
    response.writeHead(200, { ...exchange.answerHeaders(), 'content-type': type });
  };
  const finish = (error: AppError | undefined): void => {
    if (ended) return;
    ended = true;
    exchange.settled();
    deps.onEnd();
    if (error === undefined && !response.destroyed) {
      open('');
      response.end();
    } else if (error !== undefined && !response.headersSent && !response.destroyed) {
      deps.refuse(error);
    } else if (error !== undefined) {
      exchange.failed(error);
      response.destroy();
    }
  };
  const upstream = deps.upstream.stream(call, {
    headers() {},
    message(bytes) {
      if (ended || response.destroyed) return;
      const { contentType, data } = readFileBody(bytes);
      open(contentType);
      if (data.length > 0 && !response.write(data)) upstream.pause();
    },
    end: (failure) => finish(failure === undefined ? undefined : deps.translate(failure.error)),
  });
  response.on('drain', () => upstream.resume());
  const stop = (error: AppError): void => {
    upstream.cancel();
    // A paused stream would never tell its end.
    upstream.resume();
    finish(error);
  };
  exchange.onGone(() => stop(new AppError('CANCELLED', 'The caller went away')));
  return { end: stop };
}
