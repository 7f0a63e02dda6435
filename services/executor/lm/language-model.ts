import type { OutputField } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { LmEndpoint } from '../engine/engine.ts';

/** One chat message of plain text. */
export type LmMessage = { readonly role: string; readonly content: string };

/** One completion that is asked for. */
export type LmRequest = {
  readonly endpoint: LmEndpoint;
  readonly messages: readonly LmMessage[];
  /** OpenAI's options by their names (temperature, max_tokens, response_format …). */
  readonly options: Readonly<Record<string, unknown>>;
  /** What the reply is to contain, in order: for showing text and for grammars. */
  readonly outputFields: readonly OutputField[];
  /** `chat` or `json`. */
  readonly promptAdapter: string;
  /** How often a call that failed for a passing reason is repeated; default 2, 0 means never. */
  readonly maxRetries?: number;
};

/** A piece of a field's text that no later piece takes back. */
export type LmText = { readonly field: string; readonly text: string };

/** What surrounds one call. */
export type LmContext = {
  /** Ends the call at once and closes its socket. */
  readonly signal?: AbortSignal | undefined;
  /** When the caller stops waiting, in milliseconds since 1970; undefined means never. */
  readonly deadlineMs: number | undefined;
  /** W3C trace context of the asking span; empty means none. */
  readonly traceparent: string;
  /** Given, a stream is asked for and text of the fields is shown as it comes. */
  readonly onText?: ((text: LmText) => void) | undefined;
};

/** What the model said. */
export type LmCompletion = {
  /** All of it; empty if the model said nothing, which is for the asking adapter to judge. */
  readonly text: string;
  /** True if text was shown already. */
  readonly streamed: boolean;
  /** 0 if the endpoint does not say. */
  readonly promptTokens: number;
  /** 0 if the endpoint does not say. */
  readonly completionTokens: number;
  /** `stop`, `length` or another word of the endpoint; empty if unknown. */
  readonly finishReason: string;
};

/** Whoever completes chats. */
export type LanguageModel = {
  /**
   * Asks for one completion and waits for all of it. Fails with LM_NOT_CONFIGURED, LM_RATE_LIMITED, LM_UNAVAILABLE, LM_ERROR,
   * LM_REPLY_UNREADABLE, DEADLINE_EXCEEDED or CANCELLED.
   */
  complete(request: LmRequest, ctx: LmContext): Promise<LmCompletion>;
};
