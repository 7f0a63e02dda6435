import { AppError } from '@signet/kit/error/app-error.ts';
import type { Dispatcher } from 'undici';
import { type ChatReply, readingFailure } from './chat-reply.ts';
import { EventStream } from './event-stream.ts';
import { AttemptFailure, retryAfterOf, statusFailure, unavailable, unreadable } from './failure.ts';
import type { FieldText } from './field-text.ts';

const wholeBytesMax = 8 * 1024 * 1024;
// An event wraps each token into some 200 bytes.
const streamBytesMax = 64 * 1024 * 1024;
const errorBytesMax = 64 * 1024;
const afterDoneBytesMax = 64 * 1024;

type Headers = Record<string, string | string[] | undefined>;

/** One attempt at one completion, as undici's handler: settles once, and an interruption closes its socket. */
export class ChatCall implements Dispatcher.DispatchHandler {
  /** The reply, or an AttemptFailure (or what `interrupt` was given). */
  readonly settled: Promise<ChatReply>;
  readonly #host: string;
  readonly #apiKey: string;
  readonly #fieldText: FieldText | undefined;
  readonly #wasShown: () => boolean;
  readonly #reply: ChatReply;
  readonly #resolve: (reply: ChatReply) => void;
  readonly #reject: (error: Error) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #events: EventStream | undefined;
  #parts: Buffer[] = [];
  #sizeBytes = 0;
  #status = 0;
  #headers: Headers = {};
  #over = false;

  constructor(call: {
    host: string;
    apiKey: string;
    reply: ChatReply;
    fieldText?: FieldText | undefined;
    wasShown: () => boolean;
  }) {
    this.#host = call.host;
    this.#apiKey = call.apiKey;
    this.#fieldText = call.fieldText;
    this.#wasShown = call.wasShown;
    this.#reply = call.reply;
    const { promise, resolve, reject } = Promise.withResolvers<ChatReply>();
    this.settled = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Ends the attempt with an error and closes its socket at once. */
  interrupt(error: Error): void {
    this.#fail(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('ended before it was sent'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    this.#status = status;
    this.#headers = headers;
    const encoding = String(headers['content-encoding'] ?? 'identity').slice(0, 20);
    if (status < 300 && !/^(?:identity)?$/i.test(encoding)) {
      // Never unpacked: nobody asked for it, and a few bytes could become gigabytes.
      this.#fail(unreadable("The language model's endpoint answered in a packed form that was not asked for"));
      return;
    }
    const isStream = status === 200 && String(headers['content-type'] ?? '').startsWith('text/event-stream');
    if (isStream) this.#events = new EventStream((data) => this.#onEvent(data));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#sizeBytes += chunk.length;
    if (this.#over) {
      // The stream's end lets the connection be used again; an endpoint that goes on and on loses it.
      if (!this.#reply.done || this.#sizeBytes > afterDoneBytesMax)
        this.#controller?.abort(new Error('the reply is over'));
      return;
    }
    if (this.#events !== undefined) {
      this.#readEvents(this.#events, chunk);
      return;
    }
    if (this.#status >= 200 && this.#status < 300) {
      this.#parts.push(chunk);
      if (this.#sizeBytes > wholeBytesMax) this.#fail(unreadable('The language model answered with more than 8 MiB'));
    } else if (this.#sizeBytes - chunk.length < errorBytesMax) {
      this.#parts.push(chunk);
    } else {
      this.#fail(this.#refused());
    }
  }

  onResponseEnd(): void {
    if (this.#over) return;
    if (this.#status < 200 || this.#status >= 300) {
      this.#fail(this.#refused());
      return;
    }
    try {
      if (this.#events !== undefined) {
        this.#events.end();
        if (this.#over) return;
        if (!this.#reply.done && this.#reply.finishReason === '') {
          this.#fail(this.#brokenOff());
          return;
        }
      } else {
        if (String(this.#headers['content-type'] ?? '').startsWith('text/html')) {
          throw unreadable("The language model's endpoint answered with a page in place of a completion");
        }
        this.#reply.readWhole(Buffer.concat(this.#parts));
        this.#fieldText?.push(this.#reply.text);
      }
    } catch (error) {
      this.#failReading(error);
      return;
    }
    this.#succeed();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    const code = String((error as { code?: unknown }).code ?? error.name);
    if (this.#status >= 200 && this.#status < 300) {
      this.#fail(this.#brokenOff(error));
      return;
    }
    if (code === 'PRIVATE_ADDRESS') {
      this.#fail(privateAddress());
      return;
    }
    if (code === 'UND_ERR_INVALID_ARG') {
      // Its message could quote a header.
      this.#fail(unreadableRequest());
      return;
    }
    this.#fail(unavailable(`The language model's endpoint ${this.#host} could not be reached (${code})`, error));
  }

  #readEvents(events: EventStream, chunk: Buffer): void {
    if (this.#sizeBytes > streamBytesMax) {
      this.#fail(unreadable('The language model answered with more than 64 MiB'));
      return;
    }
    try {
      events.push(chunk);
    } catch (error) {
      this.#failReading(error);
    }
  }

  #onEvent(data: string): void {
    if (this.#over) return;
    const piece = this.#reply.readEvent(data);
    if (piece !== '') this.#fieldText?.push(piece);
    if (this.#reply.done) this.#succeed();
  }

  #succeed(): void {
    if (this.#over) return;
    this.#over = true;
    this.#sizeBytes = 0;
    this.#fieldText?.end();
    this.#resolve(this.#reply);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#reject(error);
    this.#controller?.abort(error);
  }

  #failReading(error: unknown): void {
    const failure = readingFailure(error);
    this.#fail(failure.repeatable && this.#wasShown() ? this.#brokenOff(failure.error) : failure);
  }

  #refused(): AttemptFailure {
    const askedMs = retryAfterOf((name) => this.#headers[name]?.toString(), Date.now());
    return statusFailure(this.#status, Buffer.concat(this.#parts).toString(), askedMs, this.#apiKey);
  }

  #brokenOff(cause?: Error): AttemptFailure {
    // What was shown cannot be taken back, so another attempt would contradict it.
    if (this.#wasShown())
      return unreadable("The language model's reply broke off after text of it had been shown", cause);
    return unavailable("The language model's reply broke off", cause);
  }
}

function privateAddress(): AttemptFailure {
  const message = "The language model's address leads to a private one, which is not allowed";
  const metadata = { rule: 'PRIVATE_ADDRESS' };
  return new AttemptFailure(new AppError('LM_NOT_CONFIGURED', message, { metadata }), false);
}

function unreadableRequest(): AttemptFailure {
  return new AttemptFailure(
    new AppError('LM_NOT_CONFIGURED', "The language model's credential or address cannot be sent"),
    false,
  );
}
