import { requireEtag } from '../check/etag.ts';
import { optimizerNotFound } from './optimizer.ts';
import type { OptimizerStore } from './store.postgres.ts';

/** Forgets an optimizer; its slug is free. Fails with OPTIMIZER_NOT_FOUND and ETAG_MISMATCH. */
export async function deleteOptimizer(
  deps: { readonly optimizers: OptimizerStore },
  input: { readonly optimizer: string; readonly etag: string },
): Promise<void> {
  const found = await deps.optimizers.lock(input.optimizer);
  if (found === undefined) throw optimizerNotFound(input.optimizer);
  requireEtag(found, input.etag);
  await deps.optimizers.remove(found);
}
