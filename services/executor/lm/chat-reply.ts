import { AttemptFailure, errorObjectFailure, refusedAnswer, unreadable } from './failure.ts';

/** The longest completion that is taken, in characters. */
export const textCharsMax = 8 * 1024 * 1024;

/** A JSON object of an answer. */
export type Json = Record<string, unknown>;

/** A reply as it grows out of a whole answer or out of a stream's events; each provider's form has its own. */
export abstract class ChatReply {
  text = '';
  promptTokens = 0;
  completionTokens = 0;
  /** In OpenAI's words: `stop`, `length`, `tool_calls`; another word as the endpoint says it; empty if unknown. */
  finishReason = '';
  /** True once a stream has said that it is over. */
  done = false;
  readonly #apiKey: string;

  constructor(apiKey: string) {
    this.#apiKey = apiKey;
  }

  /** Reads a whole answer. Throws an AttemptFailure if it is none. */
  readWhole(bytes: Buffer): void {
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (error) {
      throw unreadable("The language model's endpoint answered with bytes that are not UTF-8", error);
    }
    this.takeWhole(this.#parse(text));
  }

  /** Reads one event of a stream and returns the text that it adds. Throws an AttemptFailure if it is none. */
  readEvent(data: string): string {
    if (this.done) return '';
    if (data === '[DONE]' || data.trim() === '[DONE]') {
      this.done = true;
      return '';
    }
    return this.takeEvent(this.#parse(data));
  }

  /** Reads a whole answer's object. */
  protected abstract takeWhole(body: Json): void;

  /** Reads an event's object and returns the text that it adds. */
  protected abstract takeEvent(body: Json): string;

  /** Appends text and returns it. */
  protected grow(text: string): string {
    this.text += text;
    if (this.text.length > textCharsMax) throw unreadable('The language model answered with more than 8 MiB of text');
    return text;
  }

  /** Notes why the model stopped; `words` say it in OpenAI's. Throws if it is one of `refusals`. */
  protected finish(reason: unknown, words: Readonly<Record<string, string>>, refusals: readonly string[]): void {
    if (typeof reason !== 'string' || reason === '') return;
    const said = reason.slice(0, 64);
    if (refusals.includes(said)) throw refusedAnswer(said);
    this.finishReason = Object.hasOwn(words, said) ? words[said]! : said;
  }

  #parse(text: string): Json {
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch (error) {
      throw unreadable("The language model's endpoint answered with something that is not JSON", error);
    }
    // Gemini wraps some errors into a list.
    if (Array.isArray(body) && isObject(body[0]) && body[0].error !== undefined) body = body[0];
    if (!isObject(body))
      throw unreadable("The language model's endpoint answered with something that is not a completion");
    if (body.error !== undefined && body.error !== null) throw errorObjectFailure(body.error, this.#apiKey);
    return body;
  }
}

/** What a reply without a message is. */
export function withoutMessage(): AttemptFailure {
  return unreadable("The language model's endpoint answered without a message");
}

/** Turns whatever reading threw into an attempt's failure. */
export function readingFailure(error: unknown): AttemptFailure {
  if (error instanceof AttemptFailure) return error;
  if (error instanceof RangeError)
    return unreadable("The language model's endpoint sent an event that is too long", error);
  return unreadable("The language model's endpoint answered with bytes that are not UTF-8", error);
}

/** A count of tokens, or undefined for what is none. */
export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** True for a JSON object. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The objects of a list; none for what is no list. */
export function objectsOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
