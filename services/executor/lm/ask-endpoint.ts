import type { Tracer } from '@opentelemetry/api';
import type { Agent } from 'undici';
import type { CallBound } from './call-bound.ts';
import { ChatCall } from './chat-call.ts';
import type { ChatReply } from './chat-reply.ts';
import { type ChatSpan, startChatSpan } from './chat-span.ts';
import { type LmAddress, requestPath, resolveEndpoint } from './endpoint-address.ts';
import type { EndpointGuards, Pass } from './endpoint-guard.ts';
import { AttemptFailure, unavailable } from './failure.ts';
import { createFieldText } from './field-text.ts';
import type { LmCompletion, LmContext, LmRequest } from './language-model.ts';
import type { LmInstruments } from './lm-instruments.ts';
import { priceOf } from './price.ts';
import { type Provider, providerOfEndpoint, type WrittenRequest } from './provider.ts';

const retriesDefault = 2;
const backoffFirstMs = 200;
const backoffMaxMs = 5_000;
const charsPerToken = 4;

/** What asking needs: connections to any address and to public ones alone, and what stands before each endpoint. */
export type AskDeps = {
  readonly tracer: Tracer;
  readonly anywhere: Agent;
  readonly publicOnly: Agent;
  readonly guards: EndpointGuards;
  readonly instruments: LmInstruments;
};

/** One call as it goes from endpoint to endpoint. */
export type Asking = {
  readonly ctx: LmContext;
  readonly bound: CallBound;
  /** How long it may wait for an endpoint that asks for patience, or for its own turn; less while there is another one to ask. */
  waitMaxMs: number;
  /** The slug that this endpoint stands in for; empty for the first. */
  fallbackOf: string;
  /** How often an endpoint was asked so far. */
  attempts: number;
  /** True once text was shown, which cannot be taken back. */
  wasShown: boolean;
};

/** What is sent to one endpoint, and where to. */
export type Letter = {
  readonly provider: Provider;
  readonly address: LmAddress;
  readonly stream: boolean;
  readonly written: WrittenRequest;
};

/** Writes a request for an endpoint. Throws an AppError LM_NOT_CONFIGURED or LM_ERROR if it can never be sent. */
export function writeLetter(request: LmRequest, wantsText: boolean): Letter {
  const provider = providerOfEndpoint(request.endpoint);
  const address = resolveEndpoint(request.endpoint);
  const stream = wantsText && request.endpoint.capabilities.streaming;
  return { provider, address, stream, written: provider.write(request, stream) };
}

/** Asks one endpoint, again if it failed for a passing reason. Fails with an AttemptFailure or with what ended the call. */
export async function askEndpoint(
  deps: AskDeps,
  request: LmRequest,
  letter: Letter,
  asking: Asking,
): Promise<LmCompletion> {
  const { endpoint } = request;
  const startMs = performance.now();
  const span = startChatSpan(deps.tracer, request, letter.address, asking);
  span.dropped(letter.written.dropped);
  try {
    const completion = await attempts(deps, request, letter, { asking, span });
    const cost = priceOf(endpoint.prices, completion);
    span.succeed(completion, cost);
    deps.instruments.answered(endpoint, completion, cost, performance.now() - startMs);
    return completion;
  } catch (error) {
    const failure = error instanceof AttemptFailure ? error.error : error;
    span.fail(failure);
    deps.instruments.failed(endpoint, failure, performance.now() - startMs);
    throw error;
  }
}

type Call = { readonly asking: Asking; readonly span: ChatSpan };

async function attempts(deps: AskDeps, request: LmRequest, letter: Letter, call: Call): Promise<LmCompletion> {
  const retryMax = request.maxRetries ?? retriesDefault;
  const { bound, waitMaxMs } = call.asking;
  const guard = deps.guards.of(request.endpoint);
  for (let attempt = 0; ; attempt += 1) {
    bound.check();
    const pass = await guard.enter(bound, guessTokens(request, letter), waitMaxMs);
    try {
      return await attemptOnce(deps, request, letter, { ...call, pass });
    } catch (error) {
      if (!(error instanceof AttemptFailure) || !error.repeatable || attempt >= retryMax) throw error;
      const waitMs = pauseMs(error.askedMs, attempt);
      if (waitMs > waitMaxMs || waitMs >= bound.leftMs()) throw error;
      call.span.retry(error.error, attempt + 1);
      deps.instruments.retried(request.endpoint, error.error);
      await bound.pause(waitMs);
    }
  }
}

async function attemptOnce(
  deps: AskDeps,
  request: LmRequest,
  letter: Letter,
  { asking, span, pass }: Call & { pass: Pass },
): Promise<LmCompletion> {
  let outcome: 'well' | 'ill' | undefined;
  let tokens: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const { timeoutMs } = request.endpoint;
    const chat = startChat(deps, request, letter, { asking, traceparent: span.traceparent });
    if (timeoutMs !== undefined) timer = setTimeout(() => chat.interrupt(tooSlow(timeoutMs)), timeoutMs);
    const completion = completionOf(await chat.settled, asking.wasShown);
    outcome = 'well';
    tokens = completion.promptTokens + completion.completionTokens || undefined;
    return completion;
  } catch (error) {
    if (error instanceof AttemptFailure) outcome = healthOf(error);
    throw error;
  } finally {
    clearTimeout(timer);
    pass.end(outcome, tokens);
  }
}

function startChat(
  deps: AskDeps,
  request: LmRequest,
  { provider, address, stream, written }: Letter,
  { asking, traceparent }: { asking: Asking; traceparent: string },
): ChatCall {
  const { endpoint } = request;
  const { apiKey } = endpoint;
  const { onText } = asking.ctx;
  const fieldText =
    onText &&
    createFieldText(request, (text) => {
      asking.wasShown = true;
      onText(text);
    });
  const reply = provider.createReply(apiKey);
  const chat = new ChatCall({ host: address.host, apiKey, reply, fieldText, wasShown: () => asking.wasShown });
  asking.bound.watch((error) => chat.interrupt(error));
  asking.attempts += 1;
  const agent = endpoint.allowPrivate ? deps.anywhere : deps.publicOnly;
  agent.dispatch(
    {
      origin: address.origin,
      path: requestPath(address, (basePath) => provider.path(basePath, endpoint.model, stream)),
      method: 'POST',
      headers: headersOf(provider.credential(apiKey), traceparent, stream),
      body: written.body,
    },
    chat,
  );
  return chat;
}

function completionOf(reply: ChatReply, streamed: boolean): LmCompletion {
  const { promptTokens, completionTokens, finishReason } = reply;
  // A lone surrogate cannot be written as UTF-8, on no wire and in no row.
  return { text: reply.text.toWellFormed(), streamed, promptTokens, completionTokens, finishReason };
}

function headersOf(
  credential: Readonly<Record<string, string>>,
  traceparent: string,
  stream: boolean,
): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: stream ? 'text/event-stream, application/json' : 'application/json',
    ...credential,
  };
  if (traceparent !== '') headers.traceparent = traceparent;
  return headers;
}

// Who answers, if only with a refusal, is well; what it said that nobody could read tells nothing.
function healthOf({ error }: AttemptFailure): 'well' | 'ill' | undefined {
  if (error.reason === 'LM_UNAVAILABLE') return 'ill';
  return error.reason === 'LM_ERROR' || error.reason === 'LM_RATE_LIMITED' ? 'well' : undefined;
}

function tooSlow(timeoutMs: number): AttemptFailure {
  return unavailable(`The language model did not answer within ${timeoutMs} ms`);
}

// Four characters a token, and all that the reply may hold: providers count like this before they know better.
function guessTokens({ endpoint, options }: LmRequest, { written }: Letter): number {
  if (endpoint.tokensPerMinute === undefined) return 0;
  const most = Number(options.max_tokens ?? options.max_completion_tokens ?? 0);
  return Math.ceil(written.body.length / charsPerToken) + (Number.isFinite(most) ? most : 0);
}

function pauseMs(askedMs: number, attempt: number): number {
  const backoffMs = Math.min(backoffFirstMs * 2 ** attempt, backoffMaxMs);
  // Half of it by chance, so that calls that failed together do not come back together.
  return Math.max(askedMs, backoffMs / 2 + (Math.random() * backoffMs) / 2);
}
