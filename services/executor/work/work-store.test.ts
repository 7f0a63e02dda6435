import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { createWorkStore } from './work-store.postgres.ts';

describe('what has not ended', () => {
  let postgres: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    postgres = await createTestDatabase(['executor']);
    database = openDatabase({ log: createLogger('executor', 'silent') }, postgres.url, { connectionMax: 2 });
  });
  afterAll(async () => {
    await database?.close();
    await postgres?.drop();
  });

  const seconds = (ago: number) => new Date(Date.now() - ago * 1_000);
  const ended = (status: string) => (['completed', 'failed', 'cancelled'].includes(status) ? new Date() : null);

  async function addBatch(status: string, ago: number): Promise<string> {
    const id = newId();
    await database.query(
      `batch ${status}`,
      `insert into executor.batches (id, program_id, slug, version, status, concurrency, create_time, end_time)
       values ($1, $1, 'qa', 1, $2, 4, $3, $4)`,
      [id, status, seconds(ago), ended(status)],
    );
    return id;
  }

  async function addChunk(batch: string, firstIndex: number, status: string): Promise<void> {
    await database.query(
      'chunk',
      `insert into executor.batch_chunks (batch_id, first_index, item_count, status, execution_ids, outcomes)
       values ($1, $2, 3, $3, array[$1, $1, $1]::uuid[], '   ')`,
      [batch, firstIndex, status],
    );
  }

  async function addJob(status: string, ago: number): Promise<void> {
    await database.query(
      'job',
      `insert into executor.optimization_jobs (id, program_id, slug, base_version, optimizer_type, dataset_id, dataset_version, splits,
         metric, budget, status, create_time, end_time)
       values ($1, $1, 'qa', 1, 'bootstrap', $1, 1, '{}', '{}', '{}', $2, $3, $4)`,
      [newId(), status, seconds(ago), ended(status)],
    );
  }

  async function addEvaluation(status: string, ago: number): Promise<void> {
    await database.query(
      'evaluation',
      `insert into executor.evaluations (id, program_id, slug, version, dataset_id, dataset_slug, dataset_version, metric, concurrency,
         example_count, status, create_time, end_time)
       values ($1, $1, 'qa', 1, $1, 'd', 1, '{}', 4, 1, $2, $3, $4)`,
      [newId(), status, seconds(ago), ended(status)],
    );
  }

  it('is nothing in an empty database', async () => {
    const nothing = { waiting: 0, running: 0, oldestMs: 0 };
    expect(await createWorkStore(database).open()).toEqual([
      { kind: 'batch', ...nothing },
      { kind: 'evaluation', ...nothing },
      { kind: 'optimization', ...nothing },
    ]);
    expect(await createWorkStore(database).openItems()).toBe(0);
  });

  it('is counted by kind, with the age of the oldest that waits; what has ended or is paused is not', async () => {
    const running = await addBatch('running', 500);
    await addChunk(running, 0, 'done');
    await addChunk(running, 3, 'running');
    await addChunk(running, 6, 'pending');
    await addChunk(await addBatch('paused', 900), 0, 'pending');
    await addBatch('loading', 10);
    for (const status of ['running', 'completed', 'failed']) await addEvaluation(status, 700);
    await addJob('queued', 30);
    await addJob('queued', 60);
    await addJob('running', 700);
    await addJob('cancelled', 800);
    const store = createWorkStore(database);
    const open = await store.open();
    expect(open.map(({ kind, waiting, running }) => [kind, waiting, running])).toEqual([
      ['batch', 1, 1],
      ['evaluation', 0, 1],
      ['optimization', 2, 1],
    ]);
    const ages = open.map(({ oldestMs }) => Math.floor(oldestMs / 10_000) * 10);
    expect(ages).toEqual([10, 0, 60]);
    expect(await store.openItems()).toBe(6);
  });
});
