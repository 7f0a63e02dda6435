import { type CallContext, requireRole } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { deriveSlug, isSlug } from '../program/slug.ts';
import type { Seal } from '../sealing/seal.ts';
import {
  checkApiBase,
  checkCredential,
  checkFallbacks,
  checkLimits,
  checkModel,
  checkParameters,
  checkPrices,
} from './check-fields.ts';
import {
  capabilitiesFor,
  type LanguageModel,
  type LmCapabilities,
  type LmConstraint,
  type LmLimits,
  type LmPrices,
  type LmProvider,
} from './language-model.ts';
import { requireFallbacks } from './require-fallbacks.ts';
import { type LanguageModelStore, type NewLanguageModel, slugTaken } from './store.postgres.ts';

/** What the use cases of language models need. */
export type LanguageModelDeps = {
  readonly languageModels: LanguageModelStore;
  readonly seal: Seal;
  /** True if language models may stand at private addresses. */
  readonly allowPrivate: boolean;
};

/** A new language model. */
export type CreateLanguageModelInput = {
  readonly name: string;
  readonly slug: string;
  readonly description: string;
  /** Undefined if nothing was said, null for a value that nobody knows. */
  readonly provider: LmProvider | undefined | null;
  readonly model: string;
  readonly apiBase: string;
  readonly parameters: JsonRecord | undefined;
  readonly capabilities: LmCapabilities | undefined;
  /** Undefined for a value that nobody knows. */
  readonly constrained: LmConstraint | undefined;
  readonly limits: LmLimits;
  readonly prices: LmPrices | undefined;
  readonly fallbacks: readonly string[];
  readonly labels: Record<string, string>;
  /** Empty means none. */
  readonly credential: string;
};

/**
 * Makes a language model and seals its credential. Fails with INVALID_REQUEST, NAME_TAKEN for a given slug, LM_NOT_FOUND for a fallback,
 * and ROLE_REQUIRED for a credential that no admin gives.
 */
export async function createLanguageModel(
  deps: LanguageModelDeps,
  input: CreateLanguageModelInput,
  ctx: CallContext,
): Promise<LanguageModel> {
  if (input.credential !== '') requireRole(ctx, 'admin');
  const checked = checkInput(deps, input);
  const insert = async (slug: string): Promise<LanguageModel | undefined> => {
    await requireFallbacks(deps, slug, checked.fallbacks);
    const id = newId();
    const credential = input.credential === '' ? undefined : deps.seal.seal('language-model', id, input.credential);
    return deps.languageModels.create({ ...checked, id, slug }, credential);
  };
  if (input.slug !== '') {
    const made = await insert(input.slug);
    if (made === undefined) throw slugTaken(input.slug);
    return made;
  }
  const base = deriveSlug(input.name);
  for (let number = 1; number <= 100; number++) {
    const made = await insert(number === 1 ? base : `${base}-${number}`);
    if (made !== undefined) return made;
  }
  throw new AppError('NAME_TAKEN', `No slug of the name is free; give one`, { metadata: { field: 'slug' } });
}

function checkInput(
  { allowPrivate }: LanguageModelDeps,
  input: CreateLanguageModelInput,
): Omit<NewLanguageModel, 'id' | 'slug'> {
  const checks = new FieldChecks();
  checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (input.slug !== '' && !isSlug(input.slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', input.description, { max: 10_000 });
  if (input.provider === null) checks.add('provider', 'is not a known value', 'UNKNOWN_VALUE');
  const model = checkModel({ model: input.model, provider: input.provider ?? undefined }, checks);
  const apiBase = checkApiBase(input.apiBase, allowPrivate, checks);
  checkParameters(input.parameters, checks);
  if (input.constrained === undefined) checks.add('constrained', 'is not a known value', 'UNKNOWN_VALUE');
  const constrained = input.constrained ?? 'none';
  checkLimits(input.limits, checks);
  checkPrices(input.prices, checks);
  checkFallbacks(input.fallbacks, checks);
  checks.labels('labels', input.labels);
  checkCredential(input.credential, checks);
  checks.done();
  const { name, description, limits, fallbacks, labels } = input;
  return {
    ...{ name, description, ...model, apiBase, constrained, limits, fallbacks, labels },
    parameters: input.parameters ?? {},
    capabilities: input.capabilities ?? capabilitiesFor(constrained),
    prices: input.prices ?? null,
  };
}
