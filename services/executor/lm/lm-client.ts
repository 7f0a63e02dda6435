import { hash } from 'node:crypto';
import { createNoopMeter, type Meter, type Tracer } from '@opentelemetry/api';
import type { BreakerOptions } from '@signet/kit/breaker.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { createGuardedAgent } from '@signet/kit/net/guarded-agent.ts';
import type { Resolver } from '@signet/kit/net/guarded-lookup.ts';
import { Agent } from 'undici';
import type { LmEndpoint } from '../engine/engine.ts';
import { type AskDeps, type Asking, askEndpoint, type Letter, writeLetter } from './ask-endpoint.ts';
import { CallBound } from './call-bound.ts';
import { EndpointGuards } from './endpoint-guard.ts';
import { AttemptFailure } from './failure.ts';
import type { LanguageModel, LmCallRecord, LmCompletion, LmContext, LmRequest } from './language-model.ts';
import { createLmInstruments } from './lm-instruments.ts';
import { priceOf } from './price.ts';

// Longer waits are the caller's to decide: the error tells when to come back.
const waitMaxMs = 20_000;
// With another language model to ask, waiting is the worse way.
const waitBeforeFallbackMs = 1_000;

/** How the client may be set up. */
export type LmClientOptions = {
  /** Sockets per origin; calls beyond them wait. Default 512. */
  readonly connectionMax?: number;
  /** How long an endpoint may be silent within a call. Default 300 s. */
  readonly silenceMaxMs?: number;
  /** How long a connection may take. Default 5 s. */
  readonly connectMaxMs?: number;
  readonly breaker?: BreakerOptions;
  /** Finds the addresses of endpoints that must be public. Default: the system's resolver. */
  readonly resolve?: Resolver;
};

/** What the client needs; without a meter nothing is counted. */
export type LmClientDeps = { readonly tracer: Tracer; readonly meter?: Meter };

/** The one client for language models: connections are kept alive and bounded per origin. */
export type LmClient = LanguageModel & {
  /** Ends every call and closes every connection. */
  close(): Promise<void>;
};

/** Makes the client. */
export function createLmClient(deps: LmClientDeps, options: LmClientOptions = {}): LmClient {
  const silenceMaxMs = options.silenceMaxMs ?? 300_000;
  const connections = {
    connections: options.connectionMax ?? 512,
    keepAliveTimeout: 30_000,
    connectTimeout: options.connectMaxMs ?? 5_000,
    headersTimeout: silenceMaxMs,
    bodyTimeout: silenceMaxMs,
    allowH2: false,
  };
  const guards = new EndpointGuards(options.breaker ?? {});
  const asks: AskDeps = {
    tracer: deps.tracer,
    anywhere: new Agent(connections),
    publicOnly: createGuardedAgent(connections, options.resolve),
    guards,
    instruments: createLmInstruments(deps.meter ?? createNoopMeter(), { openBreakers: () => guards.open() }),
  };
  return {
    complete: (request, ctx) => complete(asks, request, ctx),
    close: async () => void (await Promise.all([asks.anywhere.destroy(), asks.publicOnly.destroy()])),
  };
}

async function complete(deps: AskDeps, request: LmRequest, ctx: LmContext): Promise<LmCompletion> {
  const { onCall, recall } = ctx;
  const call: Call = { attempts: 0, wasShown: false, endpoint: request.endpoint };
  if (onCall === undefined && recall === undefined) return askInTurn(deps, request, ctx, call);
  const letter = writeLetter(request, ctx.onText !== undefined);
  const requestHash = hashOf(request, letter);
  const given = recall?.(requestHash);
  const recalled = given instanceof Promise ? await given : given;
  if (recalled !== undefined) return recalled;
  const startMs = performance.now();
  const seen = { call, requestHash, startMs, messages: request.messages };
  let completion: LmCompletion;
  try {
    completion = await askInTurn(deps, request, ctx, call, letter);
  } catch (error) {
    await onCall?.(recordOf(seen, undefined, normalizeError(error).reason));
    throw error;
  }
  await onCall?.(recordOf(seen, completion, ''));
  return completion;
}

// Whether somebody listens to the text must not tell two equal requests apart.
function hashOf(request: LmRequest, { provider, stream, written }: Letter): Buffer {
  return hash('sha256', stream ? provider.write(request, false).body : written.body, 'buffer');
}

/** What changes while a call goes from endpoint to endpoint. */
type Call = { attempts: number; wasShown: boolean; endpoint: LmEndpoint };

/** Asks the endpoint and, while it cannot answer and nothing was shown, its fallbacks in order. */
async function askInTurn(
  deps: AskDeps,
  request: LmRequest,
  ctx: LmContext,
  call: Call,
  first?: Letter,
): Promise<LmCompletion> {
  const bound = new CallBound(ctx);
  const asking: Asking = Object.assign(call, { ctx, bound, waitMaxMs, fallbackOf: '' });
  const failures: { slug: string; error: AppError }[] = [];
  const { endpoint } = request;
  try {
    for (let next: LmEndpoint | undefined = endpoint, at = 0; next !== undefined; at += 1) {
      const own: LmRequest = at === 0 ? request : { ...request, endpoint: next };
      const after: LmEndpoint | undefined = endpoint.fallbacks[at];
      call.endpoint = next;
      asking.waitMaxMs = after === undefined ? waitMaxMs : waitBeforeFallbackMs;
      asking.fallbackOf = at === 0 ? '' : endpoint.slug;
      try {
        const letter = (at === 0 ? first : undefined) ?? writeLetter(own, ctx.onText !== undefined);
        return await askEndpoint(deps, own, letter, asking);
      } catch (error) {
        const failure = error instanceof AttemptFailure ? error.error : error;
        if (!(failure instanceof AppError) || call.wasShown || !mayFallBack(failure, at)) throw failure;
        failures.push({ slug: next.slug, error: failure });
        if (after !== undefined) deps.instruments.fellBack(next, failure);
        next = after;
      }
    }
    throw withFallbacks(failures);
  } finally {
    bound.release();
  }
}

// The first endpoint must be away or overloaded; what a fallback lacks besides must not hide that from the next.
function mayFallBack({ reason, metadata }: AppError, at: number): boolean {
  if (reason === 'LM_UNAVAILABLE' || reason === 'LM_RATE_LIMITED') return true;
  if (reason === 'LM_ERROR' && metadata.status?.startsWith('5') === true) return true;
  return at > 0 && (reason === 'LM_ERROR' || reason === 'LM_NOT_CONFIGURED');
}

/** The first failure, which is the one of the language model that was asked for, with what became of the others. */
function withFallbacks(failures: readonly { slug: string; error: AppError }[]): AppError {
  const [first, ...others] = failures;
  if (others.length === 0) return first!.error;
  return first!.error.with({ fallbacks: others.map(({ slug, error }) => `${slug}: ${error.reason}`).join(', ') });
}

type Seen = {
  readonly call: Call;
  readonly requestHash: Buffer;
  readonly startMs: number;
  readonly messages: LmRequest['messages'];
};

function recordOf(
  { call, requestHash, startMs, messages }: Seen,
  completion: LmCompletion | undefined,
  reason: string,
): LmCallRecord {
  const { slug, provider, model, prices } = call.endpoint;
  return {
    slug,
    provider,
    model,
    requestHash,
    messages,
    text: completion?.text,
    finishReason: completion?.finishReason ?? '',
    promptTokens: completion?.promptTokens ?? 0,
    completionTokens: completion?.completionTokens ?? 0,
    cost: completion === undefined ? undefined : priceOf(prices, completion),
    durationMs: performance.now() - startMs,
    attempts: call.attempts,
    reason,
  };
}
