import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { describe, expect, it } from 'vitest';
import { openDatabase } from '../db/pool.ts';
import { programOf } from '../engine/engine.suite.ts';
import { execute, json, plain, read } from '../test-support/executor.ts';
import { mockOf, useTestExecutor } from '../test-support/use-executor.ts';
import { cacheKey } from './cache-key.ts';
import { createCacheStore } from './store.postgres.ts';

const test = useTestExecutor([
  { slug: 'qa', spec: 'q: str -> a: str' },
  { slug: 'slow', spec: 'q: str -> a: str', configuration: mockOf({ latency_ms: 150 }) },
  { slug: 'broken', spec: 'q: str -> a: str', configuration: mockOf({ error: 'LM_UNAVAILABLE' }) },
]);

const options = { timeoutMs: 0n, engine: 0, version: 0, lm: '', routingStrategy: 0, shadow: 0, cacheScope: 0 } as const;
const run = (program: string, inputs: unknown, more: object = {}) =>
  execute(test, { program, inputs: json(inputs), executionOptions: { ...options, cache: true, ...more } } as never);
const entries = async (): Promise<number> =>
  (await test.sql.query('select count(*)::int as count from executor.cache_entries')).rows[0].count;

describe('the result cache', () => {
  it('EXT-04 answers the second call from what the first one gave, as an execution of its own that counts', async () => {
    const first = await run('qa', { q: 'once' });
    const second = await run('qa', { q: 'once' });
    expect([first.cacheHit, second.cacheHit]).toEqual([false, true]);
    expect(second.executionId).not.toBe(first.executionId);
    expect(plain(second.outputs)).toEqual(plain(first.outputs));
    expect((await read(test, second.executionId)).metrics).toMatchObject({ cache_hit: true, lm_calls: 0 });
    expect((await read(test, first.executionId)).metrics).toMatchObject({ cache_hit: false });
  });

  it('is asked only where it is wished, and keeps nothing else', async () => {
    const before = await entries();
    const plainRun = await run('qa', { q: 'unasked' }, { cache: undefined });
    expect((await run('qa', { q: 'unasked' }, { cache: false })).cacheHit).toBe(false);
    expect(plainRun.cacheHit).toBe(false);
    expect((await read(test, plainRun.executionId)).metrics).not.toHaveProperty('cache_hit');
    expect(await entries()).toBe(before);
  });

  it('runs equal calls at once a single time', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => run('slow', { q: 'together' })));
    expect(all.filter(({ cacheHit }) => !cacheHit)).toHaveLength(1);
    expect(new Set(all.map(({ executionId }) => executionId)).size).toBe(20);
  });

  it('keeps no failure: each call fails for itself', async () => {
    const failures = await Promise.allSettled(Array.from({ length: 3 }, () => run('broken', { q: 'x' })));
    expect(failures.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    const { rows } = await test.sql.query(
      `select count(*)::int as count from executor.executions where slug = 'broken' and status = 'failed'`,
    );
    expect(rows[0].count).toBe(3);
  });

  it('keeps answers of a key apart where that is wished', async () => {
    await run('qa', { q: 'mine' });
    expect((await run('qa', { q: 'mine' }, { cacheScope: 2 })).cacheHit).toBe(false);
    expect((await run('qa', { q: 'mine' }, { cacheScope: 2 })).cacheHit).toBe(true);
    expect((await run('qa', { q: 'mine' }, { cacheScope: 1 })).cacheHit).toBe(true);
  });

  it('knows an answer again after a restart, and forgets it when its time is over', async () => {
    const subject = {
      program: programOf('q -> a'),
      lm: undefined,
      inputs: parseJson('{"q":"kept"}') as JsonObject,
      keyId: '',
    };
    const database = openDatabase({ log: createLogger('test', 'silent') }, test.databaseUrl, { connectionMax: 1 });
    const store = createCacheStore(database);
    const key = cacheKey(subject);
    const entry = { outputsJson: '{"a":1.0}', engine: 'mock', leftMs: 60_000 } as const;
    await store.put(key, subject.program.programId, entry);
    expect(await store.get(key)).toMatchObject({ outputsJson: '{"a":1.0}', engine: 'mock' });
    await store.put(key, subject.program.programId, { ...entry, leftMs: 1 });
    await eventually(async () => expect(await store.get(key)).toBeUndefined());
    await store.sweep(0);
    expect(await entries()).toBe(0);
    await database.close();
  });

  it('finds what was kept by another process', async () => {
    await run('qa', { q: 'across' });
    await eventually(async () => expect(await entries()).toBeGreaterThan(0));
    const other = await useSecond();
    try {
      const again = await execute(other, {
        program: 'qa',
        inputs: json({ q: 'across' }),
        executionOptions: { ...options, cache: true },
      } as never);
      expect(again.cacheHit).toBe(true);
    } finally {
      await other.close();
    }
  });
});

describe('the name of an answer', () => {
  const name = (inputs: string, more: object = {}) =>
    cacheKey({
      program: programOf('q -> a'),
      lm: undefined,
      inputs: parseJson(inputs) as JsonObject,
      keyId: '',
      ...more,
    }).toString('hex');

  it('does not depend on the order of keys, at any depth', () => {
    expect(name('{"a":{"x":1,"y":[{"b":1,"a":2}]},"b":2}')).toBe(name('{"b":2,"a":{"y":[{"a":2,"b":1}],"x":1}}'));
  });

  it('depends on every digit, every value, the order of lists, the program and whose it is', () => {
    const all = [
      name('{"a":1}'),
      name('{"a":1.0}'),
      name('{"a":"1"}'),
      name('{"a":true}'),
      name('{"a":9007199254740993}'),
      name('{"a":9007199254740992}'),
      name('{"a":[1,2]}'),
      name('{"a":[2,1]}'),
      name('{"a":1}', { keyId: 'k' }),
      name('{"a":1}', { program: programOf('q -> a', { version: 2 }) }),
      name('{"a":1}', { program: programOf('q -> a', { ref: 'other' }) }),
    ];
    expect(new Set(all).size).toBe(all.length);
  });
});

async function useSecond() {
  const { startTestExecutor } = await import('../test-support/executor.ts');
  return startTestExecutor(test.databaseUrl, { registry: test.registry });
}
