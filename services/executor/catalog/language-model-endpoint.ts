import { invariant } from '@signet/kit/error/app-error.ts';
import { type LanguageModel, LmConstraint, LmProvider } from '@signet/proto/gen/signet/v1/language_model.ts';
import { isObject, type JsonObject, jsonFromPlain } from '@signet/signature/json.ts';
import type { LmEndpoint, LmProvider as ProviderName } from '../engine/engine.ts';
import type { ResolvedLanguageModel } from './registry.grpc.ts';

const providers: Readonly<Record<number, ProviderName>> = {
  [LmProvider.LM_PROVIDER_OPENAI]: 'openai',
  [LmProvider.LM_PROVIDER_ANTHROPIC]: 'anthropic',
  [LmProvider.LM_PROVIDER_GEMINI]: 'gemini',
};
const constraints: Readonly<Record<number, LmEndpoint['constrained']>> = {
  [LmConstraint.LM_CONSTRAINT_GRAMMAR]: 'grammar',
  [LmConstraint.LM_CONSTRAINT_JSON_SCHEMA]: 'json_schema',
};

/** Reads what the registry tells of a language model as something that can be asked. */
export function endpointOf(
  told: ResolvedLanguageModel,
  allowPrivate: boolean,
  fallbacks: readonly LmEndpoint[],
): LmEndpoint {
  const model = told.languageModel;
  invariant(model !== undefined, 'a language model came without itself');
  const { capabilities, prices } = model;
  return {
    slug: model.slug,
    provider: providers[model.provider] ?? 'openai',
    model: model.model,
    apiBase: model.apiBase,
    apiKey: told.credential,
    constrained: constraints[model.constrained] ?? 'none',
    capabilities: {
      jsonSchema: capabilities?.jsonSchema ?? false,
      jsonObject: capabilities?.jsonObject ?? false,
      grammar: capabilities?.grammar ?? false,
      streaming: capabilities?.streaming ?? true,
      tools: capabilities?.tools ?? false,
    },
    allowPrivate,
    parameters: parametersOf(model),
    ...limitsOf(model),
    ...(prices === undefined ? {} : { prices: { ...prices, currency: 'USD' } }),
    fallbacks,
  };
}

function parametersOf({ parameters }: LanguageModel): JsonObject {
  const read = parameters === undefined ? undefined : jsonFromPlain(parameters);
  return read !== undefined && isObject(read) ? read : new Map();
}

function limitsOf({ limits }: LanguageModel): Partial<LmEndpoint> {
  const { timeoutMs, concurrencyMax, requestsPerMinute, tokensPerMinute } = limits ?? {};
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs: Number(timeoutMs) }),
    ...(concurrencyMax === undefined ? {} : { concurrencyMax }),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(tokensPerMinute === undefined ? {} : { tokensPerMinute: Number(tokensPerMinute) }),
  };
}
