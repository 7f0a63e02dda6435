import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AppError } from '@signet/kit/error/app-error.ts';
import { messageLimitBytes } from '@signet/kit/grpc/deserialize.ts';
import type { HttpExchange } from './exchange.ts';
import { problemHeaders, problemOf } from './problem.ts';

/** Answers with a problem; without effect where the answer has begun or nobody is there to hear it. */
export function refuse(exchange: HttpExchange, response: ServerResponse, thrown: unknown): void {
  const error = exchange.failed(asAppError(thrown));
  if (response.headersSent || response.destroyed) return;
  const { allow } = error.metadata;
  if (error.reason === 'METHOD_NOT_ALLOWED' && allow !== undefined) exchange.headers.allow = allow;
  const problem = problemOf(error, exchange.traceId);
  const body = Buffer.from(JSON.stringify(problem));
  response.writeHead(problem.status, {
    ...exchange.answerHeaders(),
    ...problemHeaders(error),
    'content-length': body.length,
  });
  response.end(exchange.request.method === 'HEAD' ? undefined : body);
}

// What fastify itself refuses.
function asAppError(thrown: unknown): unknown {
  if (!(thrown instanceof Error) || thrown instanceof AppError) return thrown;
  const { code, statusCode } = thrown as Error & { code?: string; statusCode?: number };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new AppError('PAYLOAD_TOO_LARGE', `The body has too many bytes; at most ${messageLimitBytes} are taken`, {
      metadata: { limit_bytes: String(messageLimitBytes) },
    });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new AppError('INVALID_REQUEST', 'The request cannot be read', { cause: thrown });
  }
  return thrown;
}

/** Answers what is not even HTTP, or took too long to come: there is no request, only a socket. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, title] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'The headers are too large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'The request took too long to arrive']
        : ['400 Bad Request', 'The request is not HTTP'];
  const problem = { ...problemOf(new AppError('INVALID_REQUEST', title)), status: Number(status.slice(0, 3)) };
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/problem+json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
