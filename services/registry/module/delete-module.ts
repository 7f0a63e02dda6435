import { AppError } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { type Module, moduleNotFound } from './module.ts';
import type { ModuleStore } from './store.postgres.ts';

/** Names a module to delete, and the state of it that the caller saw. */
export type DeleteModuleInput = { readonly module: string; readonly force: boolean; readonly etag: string };

/**
 * Takes a module out of use. Its row stays for its executions and for the programs that pinned it; its name is free. Fails with
 * MODULE_NOT_FOUND, ETAG_MISMATCH, and STATE_FORBIDS while a version of a program in use is composed of it, unless forced.
 */
export async function deleteModule(
  deps: { readonly modules: ModuleStore },
  { module: named, force, etag }: DeleteModuleInput,
): Promise<void> {
  const module = await deps.modules.lock(named);
  if (module === undefined) throw moduleNotFound(named);
  requireEtag(module, etag);
  if (!force) await requireUnused(deps, module);
  await deps.modules.change(module, { deleteTime: new Date() });
}

// Any version can be asked for by its number, or serve again.
async function requireUnused(deps: { readonly modules: ModuleStore }, { id, name }: Module): Promise<void> {
  const programs = await deps.modules.programsComposedOf(id);
  if (programs.length === 0) return;
  const shown = programs.slice(0, 3).map((slug) => `program \`${slug}\``);
  const rest = programs.length > 3 ? ' and others' : '';
  throw new AppError(
    'STATE_FORBIDS',
    `It is a part of ${shown.join(', ')}${rest}; delete or archive what is composed of it, or force deletes it anyway`,
    { metadata: { state: 'in_use', event: 'delete', resource: name } },
  );
}
