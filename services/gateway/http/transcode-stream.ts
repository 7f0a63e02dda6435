import type { ServerResponse } from 'node:http';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { DuplexHandle } from '../grpc/duplex.ts';
import type { AnswerHeaders, StreamListener } from '../grpc/upstream.ts';
import type { HttpExchange } from './exchange.ts';
import { jsonLines } from './json-lines.ts';
import { refuse } from './refusal.ts';
import { readRequestMessage } from './request-message.ts';
import { requestsInBody } from './streamed-body.ts';
import { answerWhole, inCallersWords, type OpenCall, type TranscodeDeps } from './transcode.ts';

/** A call for which nothing came and nothing went for so long is ended. */
const idleMaxMs = 300_000;

/**
 * Passes a request with a streamed body on and answers it: one answer, or a line for each as they come. The body is read only as fast as
 * the owner takes it, and answers are taken only as fast as the caller reads. A line that cannot be read ends the body there: one answer
 * is refused by it; a stream of answers goes on for what came before, and its last line is the problem.
 */
export function transcodeStream(deps: TranscodeDeps, exchange: HttpExchange, response: ServerResponse): void {
  const call = new StreamedExchange(deps, exchange, response);
  deps.open.add(call);
  void call.run();
}

class StreamedExchange implements OpenCall {
  private readonly deps: TranscodeDeps;
  private readonly exchange: HttpExchange;
  private readonly response: ServerResponse;
  private readonly writer: ReturnType<typeof jsonLines>;
  private readonly upstream: DuplexHandle;
  private readonly opening: ReturnType<typeof readRequestMessage>;
  private readonly idle: NodeJS.Timeout;
  private answer: Buffer | undefined;
  private headers: AnswerHeaders | undefined;
  private bodyFault: AppError | undefined;
  private isOver = false;

  constructor(deps: TranscodeDeps, exchange: HttpExchange, response: ServerResponse) {
    const { match, query, request } = exchange;
    const { method } = match!.route;
    this.deps = deps;
    this.exchange = exchange;
    this.response = response;
    this.opening = readRequestMessage({ match: match!, query, headers: request.headers, body: undefined });
    this.writer = jsonLines(exchange, response, method.desc.output);
    const forwarded = exchange.forwarded(this.opening.bytes);
    this.upstream = deps.upstreams[method.owner].duplex(forwarded, this.listener());
    this.idle = setTimeout(() => this.end(idleTooLong()), idleMaxMs);
    response.on('drain', () => this.upstream.resume());
    exchange.onGone(() => this.stop(new AppError('CANCELLED', 'The caller went away')));
  }

  /** Sends all that the body holds. */
  async run(): Promise<void> {
    const { route } = this.exchange.match!;
    try {
      await this.upstream.send(this.opening.bytes);
      for await (const request of requestsInBody(route.method.desc, route.binding.bodyField!, this.body())) {
        if (this.isOver) return;
        await this.upstream.send(request);
      }
      await this.upstream.finish();
    } catch (thrown) {
      this.failBody(normalizeError(thrown));
    }
  }

  /** Answers with an error, or tells it at the end of what was answered. */
  end(error: AppError): void {
    if (this.isOver) return;
    this.settle();
    this.fail(error);
    this.cut();
  }

  private listener(): StreamListener {
    const { method } = this.exchange.match!.route;
    return {
      headers: (headers) => {
        this.headers = headers;
      },
      message: (bytes) => {
        if (this.isOver || this.response.destroyed) return;
        this.idle.refresh();
        if (!method.streams) this.answer = bytes;
        else if (!this.writer.message(bytes)) this.upstream.pause();
      },
      end: (failure) => {
        if (this.isOver) return;
        this.settle();
        const words = inCallersWords(this.exchange, this.opening.written);
        const error = failure === undefined ? this.bodyFault : words(failure.error);
        if (error !== undefined) this.fail(error);
        else if (method.streams) this.writer.end();
        else if (this.answer === undefined) this.fail(new AppError('INTERNAL', 'The owner gave no answer'));
        else answerWhole(this.exchange, this.response, this.answer, this.headers);
        this.forgetBody();
      },
    };
  }

  private async *body(): AsyncGenerator<Buffer, void> {
    // The request is read on by nobody else; leaving it must not tear the connection down under the answer.
    for await (const chunk of this.exchange.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      if (this.isOver) return;
      this.idle.refresh();
      yield chunk;
    }
  }

  private failBody(error: AppError): void {
    if (this.isOver) return;
    if (this.exchange.match!.route.method.streams && error.reason !== 'INTERNAL') {
      this.bodyFault = error;
      void this.upstream.finish();
    } else {
      this.end(error);
    }
  }

  private fail(error: AppError): void {
    if (this.response.destroyed) this.exchange.failed(error);
    else if (this.response.headersSent) this.writer.fail(error);
    else refuse(this.exchange, this.response, error);
    this.forgetBody();
  }

  private stop(error: AppError): void {
    if (this.isOver) return;
    this.settle();
    this.exchange.failed(error);
    this.cut();
  }

  private settle(): void {
    this.isOver = true;
    clearTimeout(this.idle);
    this.exchange.settled();
    this.deps.open.delete(this);
  }

  private cut(): void {
    this.upstream.cancel();
    // A paused stream would never tell its end.
    this.upstream.resume();
  }

  // What is left of a body that nobody reads would keep its connection from the next request.
  private forgetBody(): void {
    const { request } = this.exchange;
    if (request.complete) return;
    this.response.once('finish', () => request.socket.destroySoon());
  }
}

function idleTooLong(): AppError {
  return new AppError('DEADLINE_EXCEEDED', `Nothing came for ${idleMaxMs / 1000} s`);
}
