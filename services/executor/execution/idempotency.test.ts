import { randomBytes } from 'node:crypto';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { type Database, openDatabase } from '../db/pool.ts';
import { type CallKey, createIdempotencyStore, type IdempotencyStore } from './idempotency.postgres.ts';

describe('the memory of repeated calls', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let calls: IdempotencyStore;

  beforeAll(async () => {
    testDatabase = await createTestDatabase(['executor']);
    database = openDatabase({ log: createLogger('executor', 'silent') }, testDatabase.url, { connectionMax: 8 });
    calls = createIdempotencyStore(database);
  });
  afterAll(async () => {
    await database?.close();
    await testDatabase?.drop();
  });

  const hash = randomBytes(32);
  const keyOf = (): CallKey => ({ keyId: 'key', method: 'ExecuteProgram', requestId: newId() });
  const age = (key: CallKey, seconds: number): Promise<unknown> =>
    database.query(
      '',
      'update executor.idempotency set create_time = now() - make_interval(secs => $1) where request_id = $2',
      [seconds, key.requestId],
    );

  it('gives the place to one of many, and shows its execution to the others', async () => {
    const key = keyOf();
    const claims = await Promise.all(Array.from({ length: 20 }, () => calls.claim(key, hash, newId())));
    const [winner, ...more] = claims.filter(({ isOurs }) => isOurs);
    expect(more).toEqual([]);
    expect(new Set(claims.map(({ executionId }) => executionId))).toEqual(new Set([winner?.executionId]));
  });

  it('knows another request under the same id for another', async () => {
    const key = keyOf();
    await calls.claim(key, hash, newId());
    expect(await calls.claim(key, randomBytes(32), newId())).toMatchObject({ isOurs: false, isSameRequest: false });
  });

  it('forgets a call that died once: whoever made it anew meanwhile is not forgotten by a second one who saw it dead', async () => {
    const key = keyOf();
    await calls.claim(key, hash, newId());
    await age(key, 20);
    // Both saw that it is 20 s old.
    await calls.forget(key, 15_000);
    const anew = newId();
    expect((await calls.claim(key, hash, anew)).isOurs).toBe(true);
    await calls.forget(key, 15_000);
    expect(await calls.claim(key, hash, newId())).toMatchObject({ isOurs: false, executionId: anew });
  });

  it('forgets what is older than 24 h and keeps the rest', async () => {
    const [old, young] = [keyOf(), keyOf()];
    await Promise.all([calls.claim(old, hash, newId()), calls.claim(young, hash, newId())]);
    await age(old, 24 * 3600 + 1);
    await calls.sweep();
    expect((await calls.claim(old, hash, newId())).isOurs).toBe(true);
    expect((await calls.claim(young, hash, newId())).isOurs).toBe(false);
  });
});
