import { invalidField } from '@signet/kit/error/app-error.ts';
import { languageModelNotFound } from './language-model.ts';
import type { LanguageModelStore } from './store.postgres.ts';

/**
 * Makes sure that all fallbacks of a language model are there and that none of them leads back to it. Of several changes that could close
 * a circle together, each waits for the one before. Fails with LM_NOT_FOUND and INVALID_REQUEST.
 */
export async function requireFallbacks(
  deps: { readonly languageModels: LanguageModelStore },
  slug: string,
  fallbacks: readonly string[],
): Promise<void> {
  if (fallbacks.length === 0) return;
  const known = await deps.languageModels.lockFallbacks();
  for (const [index, fallback] of fallbacks.entries()) {
    const field = `fallbacks[${index}]`;
    if (fallback === slug) throw invalidField(field, 'must not be the language model itself', 'CIRCLE');
    if (!known.has(fallback)) throw languageModelNotFound(fallback, field);
    if (leadsTo(slug, fallback, known)) throw invalidField(field, 'leads back to the language model', 'CIRCLE');
  }
}

function leadsTo(goal: string, from: string, known: ReadonlyMap<string, readonly string[]>): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === goal) return true;
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...(known.get(next) ?? []));
  }
  return false;
}
