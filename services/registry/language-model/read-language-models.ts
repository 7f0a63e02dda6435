import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { type LanguageModel, languageModelNotFound } from './language-model.ts';
import type { LanguageModelStore } from './store.postgres.ts';

type Deps = { readonly languageModels: LanguageModelStore };

/** Asks for a page of language models. */
export type ListLanguageModelsInput = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
};

/** Reads a language model by id or slug; LM_NOT_FOUND. */
export async function getLanguageModel(deps: Deps, named: string): Promise<LanguageModel> {
  const found = await deps.languageModels.find(named);
  if (found === undefined) throw languageModelNotFound(named);
  return found;
}

/** Reads a page of language models; INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export function listLanguageModels(deps: Deps, input: ListLanguageModelsInput): Promise<Page<LanguageModel>> {
  return deps.languageModels.list({ ...input, pageSize: pageSize(input.pageSize) });
}

/**
 * Makes sure that the language model which a program is to ask is there, and keeps it there until the transaction ends. Empty and
 * `default` are always right: what they stand for may come from the environment. Fails with LM_NOT_FOUND.
 */
export async function requireLanguageModel(deps: Deps, slug: string, field: string): Promise<void> {
  if (slug === '' || slug === 'default') return;
  if (!(await deps.languageModels.hold(slug))) throw languageModelNotFound(slug, field);
}
