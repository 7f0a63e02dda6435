import { urlFault } from '@signet/kit/net/private-address.ts';
import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import { type LmLimits, type LmPrices, type LmProvider, providerIn } from './language-model.ts';

const parametersMax = 64;
const parametersBytesMax = 16_384;
const fallbacksMax = 5;
const parameterName = /^[a-z][a-z0-9_]{0,62}$/;

// They belong to the call, the endpoint or the adapter, and some would hold what must be sealed.
const reserved = new Set([
  ...['model', 'messages', 'stream', 'stream_options', 'n', 'tools', 'tool_choice', 'response_format', 'grammar'],
  ...['api_key', 'api_base', 'base_url', 'headers', 'extra_headers', 'extra_body', 'extra_query', 'organization'],
  ...['cache', 'rollout_id', 'num_retries', 'timeout', 'engine', 'prompt_cache'],
]);
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  temperature: [0, 2],
  top_p: [0, 1],
  max_tokens: [1, 1_000_000],
  presence_penalty: [-2, 2],
  frequency_penalty: [-2, 2],
};

/** Reads a model's name with its provider into DSPy's form `provider/NAME`; a fault is added if the two do not go together. */
export function checkModel(
  given: { readonly model: string; readonly provider: LmProvider | undefined },
  checks: FieldChecks,
): { readonly provider: LmProvider; readonly model: string } {
  const { model, provider } = given;
  const named = providerIn(model);
  // Whoever leaves the provider out of it gets at most `anthropic/` put before it.
  checks.text('model', model, { max: named === undefined ? 190 : 200, required: true, oneLine: true });
  if (/\s/.test(model)) checks.add('model', 'must not hold spaces', 'TEXT_INVALID');
  if (named === undefined && provider === undefined) {
    checks.add('model', 'must begin with openai/, anthropic/ or gemini/, or be given with a provider');
  } else if (named !== undefined && provider !== undefined && named !== provider) {
    checks.add('provider', `does not go with a model that begins with ${named}/`);
  }
  if (named !== undefined && model.length === named.length + 1) checks.add('model', 'must name a model');
  const chosen = named ?? provider ?? 'openai';
  return { provider: chosen, model: named === undefined ? `${chosen}/${model}` : model };
}

/** Reads an address without the slashes at its end; whatever could lead a call elsewhere than a caller says is a fault. */
export function checkApiBase(apiBase: string, allowPrivate: boolean, checks: FieldChecks): string {
  if (apiBase === '') return '';
  if (apiBase.length > 2_000) {
    checks.add('api_base', 'must have at most 2000 characters', 'TOO_LONG');
    return '';
  }
  const fault = urlFault(apiBase, { allowPrivate });
  if (fault !== undefined) {
    checks.add('api_base', fault.description, fault.rule);
    return '';
  }
  if (apiBase.includes('?')) checks.add('api_base', 'must not have a query', 'QUERY');
  return apiBase.replace(/\/+$/, '');
}

/** Checks the options of every call: their names, their number and the ranges of the common ones. */
export function checkParameters(parameters: JsonRecord | undefined, checks: FieldChecks): void {
  if (parameters === undefined) return;
  checks.json('parameters', parameters);
  const entries = Object.entries(parameters);
  if (entries.length > parametersMax)
    checks.add('parameters', `must have at most ${parametersMax} entries`, 'TOO_MANY');
  if (JSON.stringify(parameters).length > parametersBytesMax) {
    checks.add('parameters', `must have at most ${parametersBytesMax} characters as JSON`, 'TOO_LONG');
  }
  for (const [name, value] of entries.slice(0, parametersMax)) {
    const field = `parameters.${name.slice(0, 64)}`;
    const range = Object.hasOwn(ranges, name) ? ranges[name] : undefined;
    if (reserved.has(name)) checks.add(field, 'cannot be set here', 'RESERVED');
    else if (!parameterName.test(name)) checks.add(field, 'must match ^[a-z][a-z0-9_]{0,62}$', 'INVALID');
    else if (range !== undefined && !(typeof value === 'number' && value >= range[0] && value <= range[1])) {
      checks.add(field, `must be a number from ${range[0]} to ${range[1]}`);
    }
  }
}

/** Checks limits: whole numbers within their bounds. */
export function checkLimits(limits: LmLimits, checks: FieldChecks): void {
  const whole = (name: string, value: number | undefined, max: number): void => {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= max)) return;
    checks.add(`limits.${name}`, `must be from 1 to ${max}`);
  };
  whole('timeout_ms', limits.timeoutMs, 3_600_000);
  whole('concurrency_max', limits.concurrencyMax, 10_000);
  whole('requests_per_minute', limits.requestsPerMinute, 10_000_000);
  whole('tokens_per_minute', limits.tokensPerMinute, 1_000_000_000_000);
}

/** Checks prices: 0 to 1,000,000 US dollars a million tokens. */
export function checkPrices(prices: LmPrices | undefined, checks: FieldChecks): void {
  if (prices === undefined) return;
  const price = (name: string, value: number): void => {
    if (!(value >= 0 && value <= 1_000_000)) checks.add(`prices.${name}`, 'must be from 0 to 1000000');
  };
  price('input_per_million', prices.inputPerMillion);
  price('output_per_million', prices.outputPerMillion);
  if (prices.currency !== 'USD') checks.add('prices.currency', 'must be USD');
}

/** Checks the list of fallbacks by itself: at most 5, none twice. Whether they are there is for `requireFallbacks`. */
export function checkFallbacks(fallbacks: readonly string[], checks: FieldChecks): void {
  if (fallbacks.length > fallbacksMax) checks.add('fallbacks', `must have at most ${fallbacksMax} entries`, 'TOO_MANY');
  for (const [index, slug] of fallbacks.slice(0, fallbacksMax).entries()) {
    if (fallbacks.indexOf(slug) !== index) checks.add(`fallbacks[${index}]`, 'is named twice', 'DUPLICATE');
  }
}

/** Checks a credential: what a header can carry. The fault never quotes it. */
export function checkCredential(credential: string, checks: FieldChecks): void {
  if (credential.length > 4_096) checks.add('credential', 'must have at most 4096 characters', 'TOO_LONG');
  else if (!/^[\x21-\x7e]*$/.test(credential)) {
    checks.add('credential', 'must have printable characters without spaces', 'TEXT_INVALID');
  }
}
