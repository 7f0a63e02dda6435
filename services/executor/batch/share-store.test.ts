import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { createShareStore } from './share-store.postgres.ts';
import { createBatchStore } from './store.postgres.ts';

describe('shares in the database', () => {
  let postgres: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    postgres = await createTestDatabase(['executor']);
    database = openDatabase({ log: createLogger('executor', 'silent') }, postgres.url, { connectionMax: 6 });
  });
  afterAll(async () => {
    await database?.close();
    await postgres?.drop();
  });

  async function addBatch(concurrency: number): Promise<string> {
    const id = newId();
    const text = `insert into executor.batches (id, program_id, slug, version, status, concurrency) values ($1, $1, 'qa', 1, 'running', $2)`;
    await database.query('', text, [id, concurrency]);
    return id;
  }

  const expire = (id: string) =>
    database.query(
      '',
      `update executor.batches set shares = (select jsonb_agg(s || '{"untilMs": 0}') from jsonb_array_elements(shares) s) where id = $1`,
      [id],
    );

  it('never come to more than the concurrency, however many ask at the same time', async () => {
    const concurrency = 9;
    const batches = await Promise.all(Array.from({ length: 3 }, () => addBatch(concurrency)));
    const executors = Array.from({ length: 4 }, (_, at) => ({
      store: createShareStore(database, `executor ${at}`),
      running: new Map(batches.map((id) => [id, 0])),
    }));
    const check = (): void => {
      for (const id of batches) {
        const sum = executors.reduce((total, { running }) => total + running.get(id)!, 0);
        expect(sum).toBeLessThanOrEqual(concurrency);
      }
    };
    const ask = async (each: (typeof executors)[number], order: readonly string[]): Promise<void> => {
      const wishes = order.map((batchId) => ({ batchId, kept: each.running.get(batchId)!, wanted: concurrency }));
      for (const [id, limit] of await each.store.share(wishes)) {
        each.running.set(id, limit);
        check();
      }
    };
    await Promise.all(
      executors.map(async (each, at) => {
        // Each in another order: whoever locks in the order that it was asked in waits for ever here.
        const order = batches.map((_, place) => batches[(place + at) % batches.length]!);
        for (let turn = 0; turn < 40; turn++) await ask(each, order);
      }),
    );
    for (let turn = 0; turn < 3; turn++) for (const each of executors) await ask(each, batches);
    for (const id of batches) {
      expect(executors.map(({ running }) => running.get(id)!).toSorted()).toEqual([2, 2, 2, 3]);
    }
  });

  it('of one that does not come back are free when they have run out', async () => {
    const id = await addBatch(4);
    const [one, two] = [createShareStore(database, 'one'), createShareStore(database, 'two')];
    const wish = { batchId: id, wanted: 4, kept: 0 };
    expect(await one.share([wish])).toEqual(new Map([[id, 4]]));
    expect(await two.share([wish])).toEqual(new Map([[id, 0]]));
    await expire(id);
    expect(await two.share([wish])).toEqual(new Map([[id, 4]]));
    // It was only away, and lets end what it runs.
    expect(await one.share([{ ...wish, kept: 3 }])).toEqual(new Map([[id, 0]]));
    expect(await two.share([{ ...wish, kept: 0 }])).toEqual(new Map([[id, 1]]));
  });

  it('are of open batches alone, and are gone with their end', async () => {
    const id = await addBatch(4);
    const [store, batches] = [createShareStore(database, 'one'), createBatchStore(database)];
    const wish = { batchId: id, wanted: 4, kept: 0 };
    expect((await store.share([wish, { ...wish, batchId: newId() }])).size).toBe(1);
    expect(await batches.move(id, ['running'], 'paused')).toBe(true);
    expect((await store.share([{ ...wish, wanted: 2, kept: 2 }])).get(id)).toBe(2);
    expect(await batches.cancel(id)).toBe(true);
    expect(await store.share([wish])).toEqual(new Map());
    const rows = await database.query('', 'select shares from executor.batches where id = $1', [id]);
    expect(rows).toEqual([{ shares: [] }]);
    expect(await store.share([])).toEqual(new Map());
  });
});
