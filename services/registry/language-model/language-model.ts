import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonRecord } from '../check/field-checks.ts';

/** The forms in which endpoints are spoken to. */
export const lmProviders = ['openai', 'anthropic', 'gemini'] as const;

/** A form in which an endpoint is spoken to. */
export type LmProvider = (typeof lmProviders)[number];

/** The ways in which replies are forced into form. */
export const lmConstraints = ['none', 'grammar', 'json_schema'] as const;

/** A way in which replies are forced into form. */
export type LmConstraint = (typeof lmConstraints)[number];

/** What an endpoint can do beyond a plain answer. */
export type LmCapabilities = {
  readonly jsonSchema: boolean;
  readonly jsonObject: boolean;
  readonly grammar: boolean;
  readonly streaming: boolean;
  readonly tools: boolean;
};

/** How much is asked of an endpoint; what is absent is not limited. */
export type LmLimits = {
  readonly timeoutMs?: number;
  readonly concurrencyMax?: number;
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
};

/** What a million tokens cost. */
export type LmPrices = {
  readonly inputPerMillion: number;
  readonly outputPerMillion: number;
  readonly currency: string;
};

/** A language model as it is kept, without its credential. */
export type LanguageModel = {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly description: string;
  readonly provider: LmProvider;
  /** In DSPy's form, `provider/NAME`. */
  readonly model: string;
  /** Empty means the provider's own address. */
  readonly apiBase: string;
  readonly parameters: JsonRecord;
  readonly capabilities: LmCapabilities;
  readonly constrained: LmConstraint;
  readonly limits: LmLimits;
  readonly prices?: LmPrices | null;
  /** Slugs, in the order in which they are asked. */
  readonly fallbacks: readonly string[];
  readonly labels: Record<string, string>;
  /** When its credential was set; null if it has none. */
  readonly credentialUpdateTime?: Date | null;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

const apiBases: Record<LmProvider, string> = {
  openai: 'https://api.openai.com/v1',
  anthropic: 'https://api.anthropic.com',
  gemini: 'https://generativelanguage.googleapis.com',
};

/** Where a language model is: its own address, or its provider's. */
export function apiBaseOf({ apiBase, provider }: Pick<LanguageModel, 'apiBase' | 'provider'>): string {
  return apiBase === '' ? apiBases[provider] : apiBase;
}

/** The provider that a model's name in DSPy's form begins with; undefined if it begins with none that we know. */
export function providerIn(model: string): LmProvider | undefined {
  return lmProviders.find((provider) => model.startsWith(`${provider}/`));
}

/** What an endpoint is taken to be able to do when nobody says it: what the way of forcing replies into form needs, and streaming. */
export function capabilitiesFor(constrained: LmConstraint): LmCapabilities {
  const structured = constrained !== 'none';
  const grammar = constrained === 'grammar';
  return { jsonSchema: structured, jsonObject: structured, grammar, streaming: true, tools: false };
}

/** The error for a language model that is not there; names the field of the request that asked for it, if one did. */
export function languageModelNotFound(named: string, field?: string): AppError {
  const resource = named.slice(0, 100).toWellFormed().replaceAll('\0', '');
  const description = `there is no language model \`${resource}\``;
  return new AppError('LM_NOT_FOUND', `There is no language model \`${resource}\``, {
    metadata: { resource, ...(field === undefined ? {} : { field }) },
    fieldViolations: field === undefined ? [] : [{ field, reason: 'LM_NOT_FOUND', description }],
  });
}
