import { keepDeletedMs } from './delete-dataset.ts';
import type { StagingStore } from './staging.postgres.ts';
import type { DatasetStore } from './store.postgres.ts';

// An import that stood still this long is given up.
const idleMs = 600_000;

/** Forgets what imports that never ended left, and the examples of datasets that were deleted a day ago. */
export async function sweepDatasets(deps: {
  readonly datasets: DatasetStore;
  readonly staging: StagingStore;
}): Promise<void> {
  await deps.staging.sweep(idleMs);
  while ((await deps.datasets.purgeDeleted(keepDeletedMs)) > 0);
}
