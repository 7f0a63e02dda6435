import { BatchRunner } from './batch/batch-runner.ts';
import { createChunkStore } from './batch/chunk-store.postgres.ts';
import { createItemStore } from './batch/item-store.postgres.ts';
import { loadDataset } from './batch/load-dataset.ts';
import { createLoadStore } from './batch/load-store.postgres.ts';
import { runItem } from './batch/run-item.ts';
import { createShareStore } from './batch/share-store.postgres.ts';
import { createBatchStore } from './batch/store.postgres.ts';
import type { DatasetClient } from './dataset/datasets.grpc.ts';
import type { Database } from './db/pool.ts';
import type { DetachedRunner } from './execution/detached-runner.ts';
import { cancelledFault } from './execution/lease.postgres.ts';
import type { ExecutorDeps } from './make-deps.ts';

type BatchingDeps = ExecutorDeps & { readonly runner: DetachedRunner; readonly datasets: DatasetClient };

/** Makes what batches are kept with and run by. */
export function makeBatching(database: Database, deps: BatchingDeps) {
  const batches = createBatchStore(database);
  const chunks = createChunkStore(database, deps.owner);
  const loads = createLoadStore(database);
  const batchRunner = new BatchRunner({
    ...{ batches, chunks, loads, shares: createShareStore(database, deps.owner), log: deps.log },
    runItem: (batch, item, signal) => runItem(deps, batch, item, signal),
    load: (loading, ctx) => loadDataset({ ...deps, loads }, loading, ctx),
    cancelExecution: async (id) => void (await deps.leases.cancel(id, cancelledFault)),
  });
  return { ...deps, batches, chunks, loads, batchRunner, items: createItemStore(database) };
}
