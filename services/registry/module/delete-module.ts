import { requireEtag } from '../check/etag.ts';
import { moduleNotFound } from './module.ts';
import type { ModuleStore } from './store.postgres.ts';

/** Names a module, and the state of it that the caller saw. */
export type NamedModuleInput = { readonly module: string; readonly etag: string };

/**
 * Takes a module out of use. Its row stays for its executions and for the programs that pinned it; its name is free. Fails with
 * MODULE_NOT_FOUND and ETAG_MISMATCH.
 */
export async function deleteModule(deps: { readonly modules: ModuleStore }, input: NamedModuleInput): Promise<void> {
  const module = await deps.modules.lock(input.module);
  if (module === undefined) throw moduleNotFound(input.module);
  requireEtag(module, input.etag);
  await deps.modules.change(module, { deleteTime: new Date() });
}
