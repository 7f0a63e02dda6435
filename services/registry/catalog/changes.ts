import type { Seal } from '../sealing/seal.ts';
import type { ResolvedLanguageModel, ResolvedModule, ResolvedProgram } from './catalog.ts';
import type { LanguageModelReads } from './language-models.postgres.ts';
import type { ModuleReads } from './modules.postgres.ts';
import { openCredential } from './open-credential.ts';
import type { CatalogStore } from './store.postgres.ts';

/** One change of what executors cache, at its revision. */
export type CatalogItem =
  | { readonly kind: 'program'; readonly revision: bigint; readonly program: ResolvedProgram }
  | { readonly kind: 'module'; readonly revision: bigint; readonly module: ResolvedModule }
  | { readonly kind: 'language_model'; readonly revision: bigint; readonly languageModel: ResolvedLanguageModel };

/** Where changes are read, and what opens the credentials among them. */
export type ChangesDeps = {
  readonly catalog: CatalogStore;
  readonly catalogModels: LanguageModelReads;
  readonly catalogModules: ModuleReads;
  readonly seal: Seal;
};

/**
 * Reads what changed after a revision out of all that executors cache, in the order of the commits, at most `limit` items as they are
 * now. All sources are read up to one revision: what is committed between two reads must not make the cursor step over it.
 */
export async function changesAfter(deps: ChangesDeps, revision: bigint, limit: number): Promise<CatalogItem[]> {
  const { catalog, catalogModels, catalogModules, seal } = deps;
  const upTo = await catalog.revision();
  if (upTo <= revision) return [];
  // One after the other: in a storm of changes each watch would else hold three connections at once.
  const programs = await catalog.programChanges(revision, upTo, limit);
  const modules = await catalogModules.changesBetween(revision, upTo, limit);
  const models = await catalogModels.changesBetween(revision, upTo, limit);
  const opened = models.map((model) => openCredential(seal, model));
  const items: CatalogItem[] = [
    ...programs.map((program) => ({ kind: 'program', revision: BigInt(program.revision), program }) as const),
    ...modules.map((module) => ({ kind: 'module', revision: BigInt(module.revision), module }) as const),
    ...opened.map(toItem),
  ];
  return items.sort((a, b) => (a.revision < b.revision ? -1 : 1)).slice(0, limit);
}

function toItem(languageModel: ResolvedLanguageModel): CatalogItem {
  return { kind: 'language_model', revision: BigInt(languageModel.revision), languageModel };
}
