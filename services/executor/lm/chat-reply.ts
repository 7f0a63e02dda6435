import { AttemptFailure, errorObjectFailure, unreadable } from './failure.ts';

/** The longest completion that is taken, in characters. */
export const textCharsMax = 8 * 1024 * 1024;

/** A reply as it grows out of a whole answer or out of a stream's events. */
export class ChatReply {
  text = '';
  promptTokens = 0;
  completionTokens = 0;
  finishReason = '';
  /** True once a stream has said `[DONE]`. */
  done = false;
  readonly #apiKey: string;

  constructor(apiKey: string) {
    this.#apiKey = apiKey;
  }

  /** Reads a whole answer. */
  readWhole(bytes: Buffer): void {
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (error) {
      throw unreadable("The language model's endpoint answered with bytes that are not UTF-8", error);
    }
    const body = this.#parse(text);
    const choice = this.#choice(body);
    if (choice === undefined || !isObject(choice.message)) {
      throw unreadable("The language model's endpoint answered without a message");
    }
    this.#grow(contentOf(choice.message));
  }

  /** Reads one event of a stream and returns the text that it adds. */
  readEvent(data: string): string {
    if (this.done) return '';
    if (data === '[DONE]' || data.trim() === '[DONE]') {
      this.done = true;
      return '';
    }
    const choice = this.#choice(this.#parse(data));
    const delta = choice?.delta ?? choice?.message;
    return isObject(delta) ? this.#grow(contentOf(delta)) : '';
  }

  #parse(text: string): Record<string, unknown> {
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch (error) {
      throw unreadable("The language model's endpoint answered with something that is not JSON", error);
    }
    if (!isObject(body))
      throw unreadable("The language model's endpoint answered with something that is not a completion");
    if (body.error !== undefined && body.error !== null) throw errorObjectFailure(body.error, this.#apiKey);
    return body;
  }

  // The first choice; usage stands beside it and, at a stream's end, alone.
  #choice(body: Record<string, unknown>): Record<string, unknown> | undefined {
    const usage = body.usage;
    if (isObject(usage)) {
      this.promptTokens = countOf(usage.prompt_tokens) ?? this.promptTokens;
      this.completionTokens = countOf(usage.completion_tokens) ?? this.completionTokens;
    }
    const choices = body.choices;
    const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
    if (!isObject(choice)) return undefined;
    const finish = choice.finish_reason;
    if (typeof finish === 'string') this.finishReason = finish.slice(0, 64);
    return choice;
  }

  #grow(text: string): string {
    this.text += text;
    if (this.text.length > textCharsMax) throw unreadable('The language model answered with more than 8 MiB of text');
    return text;
  }
}

/** Turns whatever reading threw into an attempt's failure. */
export function readingFailure(error: unknown): AttemptFailure {
  if (error instanceof AttemptFailure) return error;
  if (error instanceof RangeError)
    return unreadable("The language model's endpoint sent an event that is too long", error);
  return unreadable("The language model's endpoint answered with bytes that are not UTF-8", error);
}

function contentOf(message: Record<string, unknown>): string {
  const content = message.content;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part) => (isObject(part) && typeof part.text === 'string' ? part.text : '')).join('');
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
