import {
  type LmCapabilities as WireCapabilities,
  LmConstraint as WireConstraint,
  type LmLimits as WireLimits,
  type LanguageModel as WireModel,
  type LmPrices as WirePrices,
  LmProvider as WireProvider,
} from '@signet/proto/gen/signet/v1/language_model.ts';
import type {
  CreateLanguageModelRequest,
  UpdateLanguageModelRequest,
} from '@signet/proto/gen/signet/v1/language_model_service.ts';
import { etagOf } from '../check/etag.ts';
import type { CreateLanguageModelInput } from './create-language-model.ts';
import {
  apiBaseOf,
  type LanguageModel,
  type LmCapabilities,
  type LmConstraint,
  type LmLimits,
  type LmPrices,
  type LmProvider,
} from './language-model.ts';
import type { LanguageModelField, UpdateLanguageModelInput } from './update-language-model.ts';

const wireProviders: Record<LmProvider, WireProvider> = {
  openai: WireProvider.LM_PROVIDER_OPENAI,
  anthropic: WireProvider.LM_PROVIDER_ANTHROPIC,
  gemini: WireProvider.LM_PROVIDER_GEMINI,
};
const wireConstraints: Record<LmConstraint, WireConstraint> = {
  none: WireConstraint.LM_CONSTRAINT_NONE,
  grammar: WireConstraint.LM_CONSTRAINT_GRAMMAR,
  json_schema: WireConstraint.LM_CONSTRAINT_JSON_SCHEMA,
};

/** Writes a language model, without its credential. */
export function toWireLanguageModel(model: LanguageModel): WireModel {
  const { id, slug, name, description, parameters, capabilities, labels, createTime, updateTime } = model;
  const { tokensPerMinute, timeoutMs, ...limits } = model.limits;
  return {
    ...{ id, slug, name, description, parameters, capabilities, labels, createTime, updateTime },
    provider: wireProviders[model.provider],
    model: model.model,
    apiBase: apiBaseOf(model),
    constrained: wireConstraints[model.constrained],
    limits: {
      ...limits,
      ...(timeoutMs === undefined ? {} : { timeoutMs: BigInt(timeoutMs) }),
      ...(tokensPerMinute === undefined ? {} : { tokensPerMinute: BigInt(tokensPerMinute) }),
    },
    prices: model.prices ?? undefined,
    fallbacks: [...model.fallbacks],
    hasCredential: Boolean(model.credentialUpdateTime),
    credentialUpdateTime: model.credentialUpdateTime ?? undefined,
    etag: etagOf(model),
  };
}

/** Reads a request to make a language model. */
export function readCreate(request: CreateLanguageModelRequest): CreateLanguageModelInput {
  const { name, slug, description, model, apiBase, parameters, fallbacks, labels, credential, provider } = request;
  const known = (Object.keys(wireProviders) as LmProvider[]).find((key) => wireProviders[key] === provider);
  return {
    ...{ name, slug, description, model, apiBase, parameters, fallbacks, labels, credential },
    provider: provider === 0 ? undefined : (known ?? null),
    constrained: readConstraint(request.constrained),
    capabilities: readCapabilities(request.capabilities),
    limits: readLimits(request.limits),
    prices: readPrices(request.prices),
  };
}

/** Reads a request to change a language model. */
export function readUpdate(request: UpdateLanguageModelRequest): UpdateLanguageModelInput {
  const { languageModel, etag, updateMask, parameters, fallbacks, labels } = request;
  const given: Record<LanguageModelField, boolean> = {
    name: request.name !== undefined,
    description: request.description !== undefined,
    model: request.model !== undefined,
    api_base: request.apiBase !== undefined,
    parameters: parameters !== undefined,
    capabilities: request.capabilities !== undefined,
    constrained: request.constrained !== undefined,
    limits: request.limits !== undefined,
    prices: request.prices !== undefined,
    fallbacks: fallbacks.length > 0,
    labels: Object.keys(labels).length > 0,
    credential: request.credential !== undefined,
  };
  return {
    ...{ languageModel, etag, updateMask, parameters, fallbacks, labels },
    set: (Object.keys(given) as LanguageModelField[]).filter((field) => given[field]),
    name: request.name ?? '',
    description: request.description ?? '',
    model: request.model ?? '',
    apiBase: request.apiBase ?? '',
    constrained: readConstraint(request.constrained ?? WireConstraint.LM_CONSTRAINT_UNSPECIFIED),
    capabilities: readCapabilities(request.capabilities),
    limits: readLimits(request.limits),
    prices: readPrices(request.prices),
    credential: request.credential ?? '',
  };
}

function readConstraint(wire: WireConstraint): LmConstraint | undefined {
  if (wire === WireConstraint.LM_CONSTRAINT_UNSPECIFIED) return 'none';
  return (Object.keys(wireConstraints) as LmConstraint[]).find((key) => wireConstraints[key] === wire);
}

function readCapabilities(wire: WireCapabilities | undefined): LmCapabilities | undefined {
  if (wire === undefined) return undefined;
  const { jsonSchema, jsonObject, grammar, streaming, tools } = wire;
  return { jsonSchema, jsonObject, grammar, streaming: streaming ?? true, tools };
}

function readLimits(wire: WireLimits | undefined): LmLimits {
  const { timeoutMs, concurrencyMax, requestsPerMinute, tokensPerMinute } = wire ?? {};
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs: Number(timeoutMs) }),
    ...(concurrencyMax === undefined ? {} : { concurrencyMax }),
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(tokensPerMinute === undefined ? {} : { tokensPerMinute: Number(tokensPerMinute) }),
  };
}

function readPrices(wire: WirePrices | undefined): LmPrices | undefined {
  if (wire === undefined) return undefined;
  const { inputPerMillion, outputPerMillion, currency } = wire;
  return { inputPerMillion, outputPerMillion, currency: currency || 'USD' };
}
