import { type CallContext, requireRole } from '@signet/kit/call-context.ts';
import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import {
  checkApiBase,
  checkCredential,
  checkFallbacks,
  checkLimits,
  checkModel,
  checkParameters,
  checkPrices,
} from './check-fields.ts';
import type { CreateLanguageModelInput, LanguageModelDeps } from './create-language-model.ts';
import { apiBaseOf, capabilitiesFor, type LanguageModel, languageModelNotFound } from './language-model.ts';
import { requireFallbacks } from './require-fallbacks.ts';
import type { LanguageModelChanges } from './store.postgres.ts';

const settable = [
  ...(['name', 'description', 'model', 'api_base', 'parameters', 'capabilities', 'constrained'] as const),
  ...(['limits', 'prices', 'fallbacks', 'labels', 'credential'] as const),
];

/** The fields of a language model that an update may change. */
export type LanguageModelField = (typeof settable)[number];

const fields: MaskFields<LanguageModelField> = {
  settable,
  outputOnly: [...['id', 'slug', 'provider', 'has_credential', 'credential_update_time', 'create_time', 'update_time']],
};

/** Changes of a language model; `set` are the fields that stand in the request. */
export type UpdateLanguageModelInput = Omit<CreateLanguageModelInput, 'slug' | 'provider'> & {
  readonly languageModel: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly LanguageModelField[];
};

/**
 * Changes a language model. Whoever could send a credential elsewhere could read it, so the address, and the provider with it, of one
 * that has a credential are for admins, as the credential is. Fails with LM_NOT_FOUND, ETAG_MISMATCH, INVALID_REQUEST and ROLE_REQUIRED.
 */
export async function updateLanguageModel(
  deps: LanguageModelDeps,
  input: UpdateLanguageModelInput,
  ctx: CallContext,
): Promise<LanguageModel> {
  const named = maskedFields(input.updateMask, input.set, fields);
  if (named.has('credential')) requireRole(ctx, 'admin');
  const before = await deps.languageModels.lock(input.languageModel);
  if (before === undefined) throw languageModelNotFound(input.languageModel);
  requireEtag(before, input.etag);
  if (named.size === 0) return before;
  const changes = checkChanges(deps, input, named, before);
  if (before.credentialUpdateTime && !isSamePlace(before, changes)) requireRole(ctx, 'admin');
  if (changes.fallbacks !== undefined) await requireFallbacks(deps, before.slug, changes.fallbacks);
  const { id } = before;
  const sealed = input.credential === '' ? null : deps.seal.seal('language-model', id, input.credential);
  return deps.languageModels.change(before, changes, named.has('credential') ? sealed : undefined);
}

function isSamePlace(before: LanguageModel, changes: LanguageModelChanges): boolean {
  const after = { ...before, ...changes };
  return after.provider === before.provider && apiBaseOf(after) === apiBaseOf(before);
}

function checkChanges(
  { allowPrivate }: LanguageModelDeps,
  input: UpdateLanguageModelInput,
  named: ReadonlySet<LanguageModelField>,
  before: LanguageModel,
): LanguageModelChanges {
  const checks = new FieldChecks();
  const has = <T>(field: LanguageModelField, read: () => T): T | undefined => (named.has(field) ? read() : undefined);
  if (named.has('name')) checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (named.has('description')) checks.text('description', input.description, { max: 10_000 });
  if (named.has('constrained') && input.constrained === undefined) {
    checks.add('constrained', 'is not a known value', 'UNKNOWN_VALUE');
  }
  if (named.has('credential')) checkCredential(input.credential, checks);
  if (named.has('parameters')) checkParameters(input.parameters, checks);
  if (named.has('limits')) checkLimits(input.limits, checks);
  if (named.has('prices')) checkPrices(input.prices, checks);
  if (named.has('fallbacks')) checkFallbacks(input.fallbacks, checks);
  if (named.has('labels')) checks.labels('labels', input.labels);
  // A name without its provider stays with the present one.
  const model = has('model', () => checkModel({ model: input.model, provider: nameOnly(input, before) }, checks));
  const apiBase = has('api_base', () => checkApiBase(input.apiBase, allowPrivate, checks));
  checks.done();
  const { name, description, constrained, limits, fallbacks, labels } = input;
  return {
    ...has('name', () => ({ name })),
    ...has('description', () => ({ description })),
    ...model,
    ...(apiBase === undefined ? {} : { apiBase }),
    ...has('parameters', () => ({ parameters: input.parameters ?? {} })),
    ...has('capabilities', () => ({
      capabilities: input.capabilities ?? capabilitiesFor(constrained ?? before.constrained),
    })),
    ...has('constrained', () => ({ constrained: constrained ?? 'none' })),
    ...has('limits', () => ({ limits })),
    ...has('prices', () => ({ prices: input.prices ?? null })),
    ...has('fallbacks', () => ({ fallbacks })),
    ...has('labels', () => ({ labels })),
  };
}

function nameOnly(input: UpdateLanguageModelInput, before: LanguageModel) {
  return /^(?:openai|anthropic|gemini)\//.test(input.model) ? undefined : before.provider;
}
