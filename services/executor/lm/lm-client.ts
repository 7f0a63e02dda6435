import type { Tracer } from '@opentelemetry/api';
import { Agent } from 'undici';
import { CallBound } from './call-bound.ts';
import { ChatCall } from './chat-call.ts';
import type { ChatReply } from './chat-reply.ts';
import { type ChatSpan, startChatSpan } from './chat-span.ts';
import { type LmAddress, resolveEndpoint } from './endpoint-address.ts';
import { AttemptFailure } from './failure.ts';
import { createFieldText } from './field-text.ts';
import type { LanguageModel, LmCompletion, LmContext, LmRequest } from './language-model.ts';
import { requestBody } from './request-body.ts';

const retriesDefault = 2;
const backoffFirstMs = 200;
const backoffMaxMs = 5_000;
// Longer waits are the caller's to decide: the error tells when to come back.
const retryAfterMaxMs = 20_000;

/** How the client may be set up. */
export type LmClientOptions = {
  /** Sockets per origin; calls beyond them wait. Default 512. */
  readonly connectionMax?: number;
  /** How long an endpoint may be silent within a call. Default 300 s. */
  readonly silenceMaxMs?: number;
};

/** What the client needs. */
export type LmClientDeps = { readonly tracer: Tracer };

/** The one client for language models: connections are kept alive and bounded per origin. */
export type LmClient = LanguageModel & {
  /** Ends every call and closes every connection. */
  close(): Promise<void>;
};

/** Makes the client. */
export function createLmClient(deps: LmClientDeps, options: LmClientOptions = {}): LmClient {
  const silenceMaxMs = options.silenceMaxMs ?? 300_000;
  const agent = new Agent({
    connections: options.connectionMax ?? 512,
    keepAliveTimeout: 30_000,
    connectTimeout: 5_000,
    headersTimeout: silenceMaxMs,
    bodyTimeout: silenceMaxMs,
    allowH2: false,
  });
  const outer = { agent, tracer: deps.tracer };
  return { complete: (request, ctx) => complete(outer, request, ctx), close: () => agent.destroy() };
}

type Outer = { readonly agent: Agent; readonly tracer: Tracer };

async function complete({ agent, tracer }: Outer, request: LmRequest, ctx: LmContext): Promise<LmCompletion> {
  const address = resolveEndpoint(request.endpoint);
  const span = startChatSpan(tracer, request, address, ctx);
  const bound = new CallBound(ctx);
  try {
    const completion = await attempts(agent, request, ctx, { address, span, bound });
    span.succeed(completion);
    return completion;
  } catch (error) {
    const failure = error instanceof AttemptFailure ? error.error : error;
    span.fail(failure);
    throw failure;
  } finally {
    bound.release();
  }
}

type Call = { readonly address: LmAddress; readonly span: ChatSpan; readonly bound: CallBound };

async function attempts(agent: Agent, request: LmRequest, ctx: LmContext, call: Call): Promise<LmCompletion> {
  const body = requestBody(request, ctx.onText !== undefined);
  const retryMax = request.maxRetries ?? retriesDefault;
  for (let attempt = 0; ; attempt += 1) {
    call.bound.check();
    try {
      return await attemptOnce(agent, request, ctx, { ...call, body });
    } catch (error) {
      if (!(error instanceof AttemptFailure) || !error.repeatable || attempt >= retryMax) throw error;
      const waitMs = pauseMs(error.askedMs, attempt);
      if (waitMs > retryAfterMaxMs || waitMs >= call.bound.leftMs()) throw error;
      call.span.retry(error.error, attempt + 1);
      await call.bound.pause(waitMs);
    }
  }
}

async function attemptOnce(
  agent: Agent,
  request: LmRequest,
  ctx: LmContext,
  call: Call & { body: string },
): Promise<LmCompletion> {
  let streamed = false;
  const { onText } = ctx;
  const fieldText =
    onText &&
    createFieldText(request, (text) => {
      streamed = true;
      onText(text);
    });
  const { origin, path, host } = call.address;
  const { apiKey } = request.endpoint;
  const chat = new ChatCall({ host, apiKey, fieldText, wasShown: () => streamed });
  call.bound.watch((error) => chat.interrupt(error));
  const headers = headersOf(apiKey, call.span.traceparent, onText !== undefined);
  agent.dispatch({ origin, path, method: 'POST', headers, body: call.body }, chat);
  return completionOf(await chat.settled, streamed);
}

function completionOf(reply: ChatReply, streamed: boolean): LmCompletion {
  const { promptTokens, completionTokens, finishReason } = reply;
  // A lone surrogate cannot be written as UTF-8, on no wire and in no row.
  return { text: reply.text.toWellFormed(), streamed, promptTokens, completionTokens, finishReason };
}

function headersOf(apiKey: string, traceparent: string, isStream: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: isStream ? 'text/event-stream, application/json' : 'application/json',
  };
  if (apiKey !== '') headers.authorization = `Bearer ${apiKey}`;
  if (traceparent !== '') headers.traceparent = traceparent;
  return headers;
}

function pauseMs(askedMs: number, attempt: number): number {
  const backoffMs = Math.min(backoffFirstMs * 2 ** attempt, backoffMaxMs);
  // Half of it by chance, so that calls that failed together do not come back together.
  return Math.max(askedMs, backoffMs / 2 + (Math.random() * backoffMs) / 2);
}
