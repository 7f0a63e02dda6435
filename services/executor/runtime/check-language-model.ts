import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import type { LmCapabilities, LmEndpoint } from '../engine/engine.ts';
import type { LanguageModel, LmCompletion } from '../lm/language-model.ts';
import { type Probe, plainProbe, probes } from '../lm/probes.ts';

/** What checking a language model needs. */
export type CheckDeps = { readonly languageModels: LanguageModels; readonly lmClient: LanguageModel };

/** Names a language model to try, and how long all of it may take. */
export type CheckInput = { readonly languageModel: string; readonly timeoutMs: number };

/** What one try came to; a reason is empty if it went well, or if the reply was merely not of the form. */
export type ProbeResult = {
  readonly name: string;
  readonly ok: boolean;
  readonly latencyMs: number;
  readonly reason: string;
  readonly message: string;
};

/** What trying a language model came to. */
export type CheckResult = {
  readonly endpoint: LmEndpoint;
  readonly plain: ProbeResult;
  /** All tries, the plain one first. */
  readonly probes: readonly ProbeResult[];
  /** Undefined without a plain answer. */
  readonly suggested: LmCapabilities | undefined;
};

const timeoutDefaultMs = 30_000;
const timeoutMaxMs = 120_000;
const probeMaxMs = 20_000;

/**
 * Tries what a language model can do: a plain call first, and if it is answered, the other tries one after the other. Each asks for a few
 * tokens, is made once and is bounded in time; no fallback is asked. Fails with LM_NOT_FOUND, LM_NOT_CONFIGURED and INVALID_REQUEST.
 */
export async function checkLanguageModel(deps: CheckDeps, input: CheckInput, ctx: LookupContext): Promise<CheckResult> {
  if (input.languageModel === '') throw invalidField('language_model', 'is required', 'REQUIRED');
  if (input.timeoutMs < 0 || input.timeoutMs > timeoutMaxMs) {
    throw invalidField('timeout_ms', `must be from 1 to ${timeoutMaxMs}`);
  }
  const endpoint = await deps.languageModels.resolve(input.languageModel, ctx);
  const endMs = Math.min(Date.now() + (input.timeoutMs || timeoutDefaultMs), ctx.deadlineMs ?? Number.MAX_SAFE_INTEGER);
  const plain = await tryOnce(deps, endpoint, plainProbe, endMs, ctx);
  if (!plain.ok) return { endpoint, plain, probes: [plain], suggested: undefined };
  const results: ProbeResult[] = [plain];
  for (const probe of probes) {
    const isFit = probe.providers.includes(endpoint.provider);
    results.push(isFit ? await tryOnce(deps, endpoint, probe, endMs, ctx) : unfit(probe));
  }
  return { endpoint, plain, probes: results, suggested: suggest(results) };
}

async function tryOnce(
  deps: CheckDeps,
  endpoint: LmEndpoint,
  probe: Probe,
  endMs: number,
  ctx: LookupContext,
): Promise<ProbeResult> {
  const startMs = performance.now();
  const result = (ok: boolean, reason: string, message: string): ProbeResult => {
    const latencyMs = Math.max(1, Math.round(performance.now() - startMs));
    return { name: probe.name, ok, latencyMs, reason, message };
  };
  try {
    const completion = await ask(deps, endpoint, probe, endMs, ctx);
    const fault = probe.fault(completion);
    return result(fault === '', '', fault);
  } catch (error) {
    // The caller has gone: nobody is there to be told of the rest.
    if (ctx.signal.aborted) throw error;
    const { reason, message } = normalizeError(error);
    return result(false, reason, message);
  }
}

function ask(
  deps: CheckDeps,
  endpoint: LmEndpoint,
  probe: Probe,
  endMs: number,
  ctx: LookupContext,
): Promise<LmCompletion> {
  const { timeoutMs: _, concurrencyMax: _c, requestsPerMinute: _r, tokensPerMinute: _t, ...bare } = endpoint;
  const tried: LmEndpoint = {
    ...bare,
    // Its own name keeps it apart from the calls that run: neither an open breaker nor a full window decides what is found out.
    slug: `${endpoint.slug}:check`,
    constrained: probe.constrained,
    capabilities: { jsonSchema: true, jsonObject: true, grammar: true, streaming: true, tools: true },
    fallbacks: [],
  };
  const { messages, options, outputFields } = probe;
  const request = { endpoint: tried, messages, options, outputFields, promptAdapter: 'chat', maxRetries: 0 };
  if (endMs <= Date.now()) {
    throw new AppError('DEADLINE_EXCEEDED', 'The time for the check was over before this was tried');
  }
  return deps.lmClient.complete(request, {
    signal: ctx.signal,
    deadlineMs: Math.min(Date.now() + probeMaxMs, endMs),
    traceparent: traceparentOf(ctx.trace),
    ...(probe.isStream ? { onText: () => {} } : {}),
  });
}

function unfit({ name }: Probe): ProbeResult {
  return { name, ok: false, latencyMs: 0, reason: '', message: 'the provider has no such thing' };
}

function suggest(results: readonly ProbeResult[]): LmCapabilities {
  const can = (name: string): boolean => results.some((result) => result.name === name && result.ok);
  return {
    jsonSchema: can('json_schema'),
    jsonObject: can('json_object'),
    grammar: can('grammar'),
    streaming: can('streaming'),
    tools: can('tools'),
  };
}
