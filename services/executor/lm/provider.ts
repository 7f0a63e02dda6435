import type { LmEndpoint, LmProvider } from '../engine/engine.ts';
import { anthropic } from './anthropic.ts';
import type { ChatReply } from './chat-reply.ts';
import { gemini } from './gemini.ts';
import type { LmRequest } from './language-model.ts';
import { openai } from './openai.ts';

/** One form in which models are spoken to. Every implementation passes `provider.suite.ts`. */
export type Provider = {
  readonly name: LmProvider;
  /** Where it stands if an endpoint names no address. */
  readonly base: string;
  /** The path of completions below an address's own path (without a slash at its end), with its query. */
  path(basePath: string, model: string, stream: boolean): string;
  /** What proves who asks; none for an empty key. */
  credential(apiKey: string): Readonly<Record<string, string>>;
  /** Says a request in its form. Throws an AppError LM_ERROR for what it cannot do at all. */
  write(request: LmRequest, stream: boolean): WrittenRequest;
  /** Begins to read an answer. The key is taken out of what the endpoint says of errors. */
  createReply(apiKey: string): ChatReply;
};

/** A request in a provider's form. */
export type WrittenRequest = {
  readonly body: string;
  /** Names of options that it has no word for and that only steer the sampling. */
  readonly dropped: readonly string[];
};

const providers: Readonly<Record<LmProvider, Provider>> = { openai, anthropic, gemini };

/** The form in which an endpoint is spoken to. */
export function providerOfEndpoint(endpoint: LmEndpoint): Provider {
  return providers[endpoint.provider];
}
