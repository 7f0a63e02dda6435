import type { OutputField } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { LmEndpoint, LmProvider } from '../engine/engine.ts';

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

/** One call as it ended, for whoever keeps such things; it holds no credential. */
export type LmCallRecord = {
  /** The language model that answered, or the last that was asked. */
  readonly slug: string;
  readonly provider: LmProvider;
  /** In DSPy's form, `openai/NAME`. */
  readonly model: string;
  /** SHA-256 of the request as the first language model would get it: equal requests have equal hashes. */
  readonly requestHash: Buffer;
  /** What it was asked; not to be kept beyond the run. */
  readonly messages: readonly LmMessage[];
  /** What it said; undefined if the call failed. */
  readonly text: string | undefined;
  readonly finishReason: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** In US dollars; undefined if the language model has no prices. */
  readonly cost: number | undefined;
  /** Milliseconds with all attempts, waits and fallbacks. */
  readonly durationMs: number;
  /** How often an endpoint was asked; 0 if none was. */
  readonly attempts: number;
  /** Why it failed; empty if it did not. */
  readonly reason: string;
};

/** What keeps the calls of one execution, for its figures and for a run that begins anew. */
export type LmCalls = {
  /** See `LmContext.onCall`. */
  readonly onCall: (call: LmCallRecord) => Promise<void> | undefined;
  /** See `LmContext.recall`. */
  readonly recall: (requestHash: Buffer) => Recalled;
  /** Says that the run begins anew: what was answered so far is given again. */
  rewind(): void;
  /** Counts in what the steps of the execution took; absent where nobody counts. */
  readonly include?: (taken: LmTaken) => void;
};

/** What calls of models came to. */
export type LmTaken = {
  readonly calls: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** In US dollars; undefined if no answer had a price. */
  readonly cost: number | undefined;
  /** Milliseconds of all calls, one after the other. */
  readonly lmMs: number;
};

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
  /** Told once of each call as it ended; the call waits for what it gives back. What it throws, the call throws. */
  readonly onCall?: ((call: LmCallRecord) => Promise<void> | undefined) | undefined;
  /** Asked before anything is sent: an answer that was recorded earlier for the same request is given in place of a new one. */
  readonly recall?: ((requestHash: Buffer) => Recalled) | undefined;
};

/** What was recorded for a request, if anything; a promise where something has to be kept before anything may be sent. */
export type Recalled = LmCompletion | undefined | Promise<LmCompletion | undefined>;

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
