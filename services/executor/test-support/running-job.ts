import { newId } from '@signet/kit/id.ts';
import type { Database } from '../db/pool.ts';
import type { JobBudget } from '../optimization/optimization.ts';
import { createJobStore } from '../optimization/store.postgres.ts';

/** Keeps a job of its own and takes it; gives its id, its lease, its budget and the store. */
export async function runningJob(database: Database, caps: Partial<JobBudget> = {}) {
  const jobs = createJobStore(database, 'tester');
  const id = newId();
  const budget: JobBudget = { lmCalls: 100, tokens: 0, usd: 0, seconds: 60, ...caps };
  await jobs.insert({
    ...{ id, programId: newId(), slug: 'qa', baseVersion: 1, optimizerId: '', kind: 'copro', config: {}, budget },
    ...{ datasetId: newId(), datasetVersion: 1, splits: { train: ['train'], validation: ['train'], test: ['test'] } },
    ...{ metric: { kind: 'exact_match' }, seed: 0, labels: {}, keyId: '', traceparent: '', traceId: '' },
  });
  await jobs.hold(id, 1n);
  const { leaseToken } = (await jobs.claim(id))!;
  return { id, jobs, leaseToken, budget };
}
