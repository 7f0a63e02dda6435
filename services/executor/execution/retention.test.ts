import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionServiceService as executions } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { describe, expect, it } from 'vitest';
import { openDatabase } from '../db/pool.ts';
import { callerContext, execute, json } from '../test-support/executor.ts';
import { cancel, plainPrograms, useTestExecutor } from '../test-support/use-executor.ts';
import { createRetentionStore } from './retention.postgres.ts';
import { forgetOldExecutions } from './retention.ts';

const test = useTestExecutor(plainPrograms);
const day = 86_400_000;

async function withStore<T>(work: (store: ReturnType<typeof createRetentionStore>) => Promise<T>): Promise<T> {
  const database = openDatabase({ log: createLogger('test', 'silent') }, test.databaseUrl, { connectionMax: 2 });
  try {
    return await work(createRetentionStore(database));
  } finally {
    await database.close();
  }
}

/** Puts rows into the past: made and ended so many days ago. */
async function putOld(count: number, daysAgo: number, status = 'completed'): Promise<void> {
  await test.sql.query(
    `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, status, executed_at, end_time)
     select (lpad(to_hex((extract(epoch from now() - $2 * interval '1 day') * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text || $3), 1, 3)
         || '8' || substr(md5($3 || n::text), 1, 15))::uuid,
       gen_random_uuid(), 'old', 1, 'mock', false, '{}', $3, now(),
       case when $3 in ('completed', 'failed', 'cancelled') then now() - $2 * interval '1 day' end
     from generate_series(1, $1) n`,
    [count, daysAgo, status],
  );
}

const countOf = async (slug: string): Promise<number> =>
  (await test.sql.query('select count(*)::int as count from executor.executions where slug = $1', [slug])).rows[0]
    .count;

describe('retention', () => {
  it('forgets what ended before the bound, in batches, and nothing else', async () => {
    await putOld(2_500, 40);
    await putOld(3, 20, 'failed');
    await putOld(2, 50, 'pending');
    await execute(test, { program: 'qa', inputs: json({ q: 'new' }) });
    const forgotten = await withStore((retention) =>
      forgetOldExecutions({ retention, retentionMs: 30 * day }, () => false),
    );
    expect(forgotten).toBe(2_500);
    expect(await countOf('old')).toBe(5);
    expect(await countOf('qa')).toBe(1);
    await test.sql.query(`delete from executor.executions where slug = 'old'`);
  });

  it('shares the work between processes that sweep at once', async () => {
    await putOld(3_000, 41);
    const counts = await withStore((retention) =>
      Promise.all([1, 2].map(() => forgetOldExecutions({ retention, retentionMs: 30 * day }, () => false))),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3_000);
    expect(await countOf('old')).toBe(0);
  });

  it('forgets nothing without a bound, and stops when the process does', async () => {
    await putOld(10, 400);
    await withStore(async (retention) => {
      expect(await forgetOldExecutions({ retention, retentionMs: undefined }, () => false)).toBe(0);
      expect(await forgetOldExecutions({ retention, retentionMs: day }, () => true)).toBe(0);
    });
    expect(await countOf('old')).toBe(10);
  });
});

describe('the audit log of executions', () => {
  const list = (fields: { pageSize?: number; pageToken?: string; filter?: string } = {}) =>
    test.peer.unary(
      executions.listExecutionAuditEntries,
      { pageSize: 0, pageToken: '', filter: '', ...fields },
      callerContext({ role: 'admin' }),
    );

  it('tells who cancelled and who deleted, and how the execution stood', async () => {
    const created = await test.peer.unary(
      executions.createExecution,
      {
        program: 'slow',
        inputs: json({ q: 'x' }),
        executionOptions: undefined,
        labels: {},
        metadata: undefined,
        requestId: '',
      } as never,
      callerContext(),
    );
    await cancel(test, created.id);
    await eventually(async () => {
      await test.peer.unary(
        executions.deleteExecution,
        { execution: created.id, requestId: '' } as never,
        callerContext({ role: 'editor' }),
      );
    });
    const { auditEntries } = await list({ filter: `resource_id = "${created.id}"` });
    expect(auditEntries.map(({ action, operation, actorId, actor }) => [action, operation, actorId, actor])).toEqual([
      ['DeleteExecution', 'delete', 'key-1', 'tester'],
      ['CancelExecution', 'update', 'key-1', 'tester'],
    ]);
    expect(auditEntries[0]).toMatchObject({
      resource: 'execution',
      resourceName: 'slow',
      before: { status: 'cancelled' },
    });
  });

  it('is read page by page and cannot be changed', async () => {
    const first = await list({ pageSize: 1 });
    const second = await list({ pageSize: 1, pageToken: first.nextPageToken });
    expect(second.auditEntries[0]?.id).not.toBe(first.auditEntries[0]?.id);
    await expect(list({ pageToken: 'x' })).rejects.toMatchObject({ reason: 'PAGE_TOKEN_INVALID' });
    await expect(list({ filter: 'inputs = x' })).rejects.toMatchObject({ reason: 'FILTER_SYNTAX' });
    await expect(test.sql.query('delete from executor.audit_log')).rejects.toThrow('append-only');
  });
});
