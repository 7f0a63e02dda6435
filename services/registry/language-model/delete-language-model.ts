import { type CallContext, requireRole } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { languageModelNotFound } from './language-model.ts';
import type { LanguageModelStore } from './store.postgres.ts';

/** Names a language model to forget, and the state of it that the caller saw. */
export type DeleteLanguageModelInput = {
  readonly languageModel: string;
  readonly force: boolean;
  readonly etag: string;
};

/**
 * Forgets a language model and its credential. Fails with LM_NOT_FOUND, ETAG_MISMATCH, ROLE_REQUIRED for one with a credential unless an
 * admin asks, and STATE_FORBIDS while a program's newest or serving version, or another language model, names it, unless forced.
 */
export async function deleteLanguageModel(
  deps: { readonly languageModels: LanguageModelStore },
  input: DeleteLanguageModelInput,
  ctx: CallContext,
): Promise<void> {
  const found = await deps.languageModels.lock(input.languageModel);
  if (found === undefined) throw languageModelNotFound(input.languageModel);
  requireEtag(found, input.etag);
  if (found.credentialUpdateTime) requireRole(ctx, 'admin');
  if (!input.force) await requireUnused(deps, found.slug);
  await deps.languageModels.remove(found);
}

async function requireUnused(deps: { readonly languageModels: LanguageModelStore }, slug: string): Promise<void> {
  // Whoever makes it a fallback meanwhile waits, and then does not find it.
  const fallbacks = await deps.languageModels.lockFallbacks();
  const users = [...fallbacks].filter(([, named]) => named.includes(slug)).map(([user]) => user);
  const programs = await deps.languageModels.programsThatName(slug);
  if (users.length + programs.length === 0) return;
  const shown = [
    ...programs.map((name) => `program \`${name}\``),
    ...users.map((name) => `language model \`${name}\``),
  ];
  const rest = shown.length > 3 ? ' and others' : '';
  throw new AppError(
    'STATE_FORBIDS',
    `It is named by ${shown.slice(0, 3).join(', ')}${rest}; force deletes it anyway`,
    {
      metadata: { state: 'in_use', event: 'delete', resource: slug },
    },
  );
}
