import { AppError, type AppErrorDetails } from '@signet/kit/error/app-error.ts';

const messageCharsMax = 500;
const dayMs = 86_400_000;

// What callers are told when the endpoint names no time.
const retryAfterDefaultMs = 1_000;

/** A failed attempt: what to tell the caller, and whether another attempt may be made. */
export class AttemptFailure extends Error {
  readonly error: AppError;
  readonly repeatable: boolean;
  /** How long the endpoint asks to wait; 0 if it does not say. */
  readonly askedMs: number;

  constructor(error: AppError, repeatable: boolean, askedMs = 0) {
    super(error.message);
    this.error = error;
    this.repeatable = repeatable;
    this.askedMs = askedMs;
  }
}

/** The endpoint could not be reached, went away or is not well. */
export function unavailable(message: string, cause?: unknown, askedMs?: number): AttemptFailure {
  return passing('LM_UNAVAILABLE', message, { cause }, askedMs);
}

function passing(
  reason: 'LM_UNAVAILABLE' | 'LM_RATE_LIMITED',
  message: string,
  details: AppErrorDetails,
  askedMs: number | undefined,
): AttemptFailure {
  const retryAfterMs = askedMs ?? retryAfterDefaultMs;
  return new AttemptFailure(
    new AppError(reason, message, { ...details, retryable: true, retryAfterMs }),
    true,
    askedMs,
  );
}

/** The endpoint said something that is no completion, or stopped after text had been shown. */
export function unreadable(message: string, cause?: unknown): AttemptFailure {
  return new AttemptFailure(new AppError('LM_REPLY_UNREADABLE', message, { cause, category: 'lm' }), false);
}

/** The model, or its provider's rules, said that there will be no answer: asking again would not change it. */
export function refusedAnswer(word: string): AttemptFailure {
  const message = `The language model refused to answer (${word})`;
  const metadata = { finish_reason: word };
  return new AttemptFailure(new AppError('LM_ERROR', message, { metadata, retryable: false }), false);
}

const tooLong = 'context_exceeded';
// OpenAI and what speaks as it does; Anthropic; Gemini; llama.cpp.
const tooLongWords =
  /context_length_exceeded|maximum context length|prompt is too long|exceed(?:s|ed)? (?:the )?(?:available )?context (?:limit|size|length|window)|exceed_context_size|input token count .{0,40}exceeds the maximum/i;

/** True if the model refused a prompt because it is longer than it takes. */
export function isContextExceeded(error: unknown): error is AppError {
  return error instanceof AppError && error.reason === 'LM_ERROR' && error.metadata.problem === tooLong;
}

/** Reads an answer of another status than 200. The provider's words are shortened and freed of keys. */
export function statusFailure(
  status: number,
  body: string,
  askedMs: number | undefined,
  apiKey: string,
): AttemptFailure {
  const { said, isKeyRefused, delayMs } = providerWords(body, apiKey);
  const metadata = { status: String(status) };
  if (status === 429) {
    const message = withWords('The language model is rate limited', said);
    return passing('LM_RATE_LIMITED', message, { metadata }, askedMs ?? delayMs);
  }
  const answered = withWords(`The language model's endpoint answered with status ${status}`, said);
  if (status >= 500 || status === 408 || status === 425) {
    // 501 and 505 will not change by asking again.
    if (status === 501 || status === 505) return refused(status, said);
    return passing('LM_UNAVAILABLE', answered, { metadata }, askedMs ?? delayMs);
  }
  // The provider's words would quote a part of the key.
  if (status === 401 || status === 403 || isKeyRefused) {
    const message = "The language model's endpoint refused the credential";
    return new AttemptFailure(new AppError('LM_ERROR', message, { metadata, retryable: false }), false);
  }
  if (status >= 300 && status < 400) return refused(status, 'a redirect, which is not followed');
  if (tooLongWords.test(body.slice(0, 4_096))) {
    const message = withWords('The prompt is longer than the language model takes', said);
    const details = { metadata: { ...metadata, problem: tooLong }, retryable: false };
    return new AttemptFailure(new AppError('LM_ERROR', message, details), false);
  }
  return refused(status, said);
}

function refused(status: number, said: string): AttemptFailure {
  const message = withWords(`The language model's endpoint answered with status ${status}`, said);
  return new AttemptFailure(
    new AppError('LM_ERROR', message, { metadata: { status: String(status) }, retryable: false }),
    false,
  );
}

// What providers call their errors where no status stands beside them.
const statuses: Readonly<Record<string, number>> = {
  overloaded_error: 529,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  api_error: 500,
  server_error: 500,
  timeout_error: 504,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
};

/** An error inside a stream or a 200 answer, in the form `{message, code}`, `{message, type}` or `{message, code, status}`. */
export function errorObjectFailure(error: unknown, apiKey: string): AttemptFailure {
  const { code, type } = (error ?? {}) as { code?: unknown; type?: unknown };
  const number = Number(code);
  const word = [type, code].find((name) => typeof name === 'string' && Object.hasOwn(statuses, name));
  const named = word === undefined ? 400 : statuses[word as string]!;
  const status = Number.isInteger(number) && number >= 400 && number <= 599 ? number : named;
  return statusFailure(status, JSON.stringify({ error }), undefined, apiKey);
}

/**
 * Milliseconds that `Retry-After` (seconds or a date) or `retry-after-ms` ask to wait, at most a day; undefined if neither
 * can be read.
 */
export function retryAfterOf(header: (name: string) => string | undefined, nowMs: number): number | undefined {
  const millis = Number(header('retry-after-ms')?.trim() || Number.NaN);
  const text = header('retry-after')?.trim() ?? '';
  const seconds = Number(text || Number.NaN) * 1000;
  const date = Date.parse(text) - nowMs;
  const asked = [millis, seconds, date].find((ms) => !Number.isNaN(ms));
  return asked === undefined ? undefined : Math.min(Math.max(0, Math.ceil(asked)), dayMs);
}

type ProviderError = { message?: unknown; details?: unknown };

function providerWords(
  body: string,
  apiKey: string,
): { said: string; isKeyRefused: boolean; delayMs: number | undefined } {
  let said: unknown;
  let details: unknown;
  try {
    const read: unknown = JSON.parse(body);
    // Gemini wraps some errors into a list.
    const parsed = (Array.isArray(read) ? read[0] : read) as
      | ({ error?: ProviderError | string; detail?: unknown } & ProviderError)
      | null;
    const error = parsed?.error;
    said = typeof error === 'string' ? error : (error?.message ?? parsed?.message ?? parsed?.detail);
    details = typeof error === 'object' ? error?.details : undefined;
  } catch {
    // An HTML page or the like tells the caller nothing.
  }
  return {
    said: typeof said === 'string' ? withoutSecrets(said, apiKey).slice(0, messageCharsMax).toWellFormed() : '',
    ...readDetails(details),
  };
}

// Gemini says beside the message, and nowhere else, that it was the key and how long to wait.
function readDetails(details: unknown): { isKeyRefused: boolean; delayMs: number | undefined } {
  let isKeyRefused = false;
  let delayMs: number | undefined;
  for (const detail of Array.isArray(details)
    ? (details as ({ reason?: unknown; retryDelay?: unknown } | null)[])
    : []) {
    if (detail?.reason === 'API_KEY_INVALID') isKeyRefused = true;
    const seconds =
      typeof detail?.retryDelay === 'string' ? /^(\d{1,6}(?:\.\d{1,9})?)s$/.exec(detail.retryDelay) : null;
    if (seconds !== null) delayMs = Math.min(Math.ceil(Number(seconds[1]) * 1000), dayMs);
  }
  return { isKeyRefused, delayMs };
}

function withoutSecrets(text: string, apiKey: string): string {
  const known = apiKey.length >= 4 ? text.replaceAll(apiKey, '[redacted]') : text;
  return known
    .replace(/\b(?:sk|pk|rk|key|sgn|gsk|xai|hf|AIza)[-_]?[A-Za-z0-9_*-]{8,}/g, '[redacted]')
    .replace(/\bBearer\s+\S+/gi, 'Bearer [redacted]')
    .replace(/\p{Cc}+/gu, ' ');
}

function withWords(message: string, said: string): string {
  return said === '' ? message : `${message}: ${said}`;
}
