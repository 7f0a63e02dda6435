import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { refusal } from '../test-support/registry.ts';
import { type Database, openDatabase } from './database.ts';

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase(['registry']);
  database = await openDatabase(testDatabase.url);
});
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

describe('the database', () => {
  it('gets connections back that broke in the middle of a transaction, more of them than the pool has', async () => {
    const lost = Array.from({ length: 12 }, () =>
      refusal(database.transaction(({ em }) => em.execute('select pg_terminate_backend(pg_backend_pid())'))),
    );
    for (const error of await Promise.all(lost)) expect(error.reason).toBe('DATABASE_UNAVAILABLE');
    const after = Array.from({ length: 12 }, () => database.transaction(({ em }) => em.execute('select 1 as one')));
    expect(await Promise.all(after)).toHaveLength(12);
  });

  it('runs a change again that lost to another one by deadlock', async () => {
    await database.transaction(({ em }) => em.execute('create table registry.locked (id int primary key, n int)'));
    await database.transaction(({ em }) => em.execute('insert into registry.locked values (1, 0), (2, 0)'));
    let arrived = 0;
    let open = (): void => {};
    const both = new Promise<void>((resolve) => {
      open = resolve;
    });
    const add = (first: number, second: number) =>
      database.transaction(async ({ em }) => {
        await em.execute('update registry.locked set n = n + 1 where id = ?', [first]);
        if (++arrived === 2) open();
        await both;
        await em.execute('update registry.locked set n = n + 1 where id = ?', [second]);
      });
    await Promise.all([add(1, 2), add(2, 1)]);
    const rows = await database.read<{ n: number }>('', 'select n from registry.locked order by id', []);
    expect(rows).toEqual([{ n: 2 }, { n: 2 }]);
    await database.transaction(({ em }) => em.execute('drop table registry.locked'));
  });

  it('refuses texts that Postgres cannot hold instead of failing', async () => {
    const error = await refusal(database.read('', 'select $1::text', ['\u0000']));
    expect(error.reason).toBe('INVALID_REQUEST');
  });
});
