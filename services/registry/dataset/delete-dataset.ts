import { requireEtag } from '../check/etag.ts';
import { datasetNotFound } from './dataset.ts';
import type { DatasetStore } from './store.postgres.ts';

/** How long the examples of a deleted dataset stay for what runs over them, in milliseconds: longer than any job may take. */
export const keepDeletedMs = 24 * 3_600_000;

/** Forgets a dataset; whoever knows its id from inside reads it for a day. Fails with DATASET_NOT_FOUND and ETAG_MISMATCH. */
export async function deleteDataset(
  deps: { readonly datasets: DatasetStore },
  input: { readonly dataset: string; readonly etag: string },
): Promise<void> {
  const found = await deps.datasets.lock(input.dataset);
  if (found === undefined) throw datasetNotFound(input.dataset);
  requireEtag(found, input.etag);
  await deps.datasets.change(found, { deleteTime: new Date() });
}
