import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { ExecutionServiceService as executions } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../db/pool.ts';
import { callerContext, execute, json } from '../test-support/executor.ts';
import { cancel, plainPrograms, useTestExecutor } from '../test-support/use-executor.ts';
import { createExecutionRetention, createReplyRetention } from './retention.postgres.ts';
import { forgetOld, type Retention } from './retention.ts';

const test = useTestExecutor(plainPrograms);
const day = 86_400_000;

/** Sweeps once for each of these, all at the same time; gives how much each forgot. */
async function sweep(
  retentions: readonly ((database: Database) => Retention)[],
  signal = new AbortController().signal,
): Promise<number[]> {
  const database = openDatabase({ log: createLogger('test', 'silent') }, test.databaseUrl, { connectionMax: 2 });
  try {
    const swept = await Promise.all(retentions.map((create) => forgetOld([create(database)], signal)));
    return swept.map((totals) => Object.values(totals).reduce((sum, count) => sum + count, 0));
  } finally {
    await database.close();
  }
}

const olderThan = (days: number) => (database: Database) => createExecutionRetention(database, days * day);

/** Puts rows into the past: made and ended so many days ago. */
async function putOld(count: number, daysAgo: number, status = 'completed'): Promise<void> {
  await test.sql.query(
    `insert into executor.executions (id, program_id, slug, version, engine, detached, inputs, status, executed_at, end_time, lease_until)
     select (lpad(to_hex((extract(epoch from now() - $2 * interval '1 day') * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text || $3), 1, 3)
         || '8' || substr(md5($3 || n::text), 1, 15))::uuid,
       gen_random_uuid(), 'old', 1, 'mock', false, '{}', $3, now(),
       case when $3 in ('completed', 'failed', 'cancelled') then now() - $2 * interval '1 day' end,
       case when $3 = 'running' then now() + interval '1 hour' end
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
    expect(await sweep([olderThan(30)])).toEqual([2_500]);
    expect(await countOf('old')).toBe(5);
    expect(await countOf('qa')).toBe(1);
    await test.sql.query(`delete from executor.executions where slug = 'old'`);
  });

  it('shares the work between processes that sweep at once', async () => {
    await putOld(3_000, 41);
    const counts = await sweep([olderThan(30), olderThan(30)]);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3_000);
    expect(await countOf('old')).toBe(0);
  });

  it('forgets nothing once the process is to end', async () => {
    await putOld(10, 400);
    expect(await sweep([olderThan(1)], AbortSignal.abort())).toEqual([0]);
    expect(await countOf('old')).toBe(10);
    await test.sql.query(`delete from executor.executions where slug = 'old'`);
  });

  it('leaves what a run, a batch or an evaluation is made of that has not ended, and looks behind it', async () => {
    const [run, batch, evaluation] = [newId(), newId(), newId()];
    await putOld(1, 40, 'running');
    await test.sql.query(`update executor.executions set id = $1, slug = 'parent' where slug = 'old'`, [run]);
    await test.sql.query(
      `insert into executor.batches (id, program_id, slug, version, status, concurrency) values ($1, $1, 'old', 1, 'paused', 1)`,
      [batch],
    );
    await test.sql.query(
      `insert into executor.evaluations (id, program_id, slug, version, dataset_id, dataset_slug, dataset_version, metric, concurrency,
         example_count, status, lease_until)
       values ($1, $1, 'old', 1, $1, 'old', 1, '{}', 1, 1, 'running', now() + interval '1 hour')`,
      [evaluation],
    );
    const isPartOf: [string, string][] = [
      ['parent_id', run],
      ['labels', JSON.stringify({ batch })],
      ['labels', JSON.stringify({ evaluation })],
    ];
    for (const [column, value] of isPartOf) {
      await putOld(400, 41);
      await test.sql.query('alter table executor.executions disable trigger executions_final');
      await test.sql.query(`update executor.executions set ${column} = $1, slug = 'part' where slug = 'old'`, [value]);
      await test.sql.query('alter table executor.executions enable trigger executions_final');
    }
    await putOld(1_500, 40);
    expect(await sweep([olderThan(30)])).toEqual([1_500]);
    expect(await countOf('part')).toBe(1_200);
    await test.sql.query(`update executor.executions set status = 'failed', end_time = now() where id = $1`, [run]);
    await test.sql.query('delete from executor.evaluations');
    await test.sql.query(`update executor.batches set status = 'cancelled', end_time = now()`);
    expect(await sweep([olderThan(30)])).toEqual([1_200]);
    await test.sql.query('delete from executor.batches');
  });

  it('forgets what models answered to what has ended, and nothing else of the calls', async () => {
    await putOld(2, 0, 'running');
    await putOld(2, 0, 'completed');
    await test.sql.query(
      `insert into executor.lm_calls (execution_id, seq, run, lm, model, request_hash, reply, tokens_in, tokens_out, duration_ms, attempts)
       select id, n, 1, 'lm', 'm', '', 'said', 5, 6, 1, 1 from executor.executions, generate_series(1, 700) n where slug = 'old'`,
    );
    expect(await sweep([createReplyRetention, createReplyRetention]).then((counts) => counts[0]! + counts[1]!)).toBe(
      1_400,
    );
    const { rows } = await test.sql.query(
      `select status, count(*)::int, count(reply)::int as replies, sum(tokens_in)::int as tokens
       from executor.lm_calls c join executor.executions e on e.id = c.execution_id where slug = 'old' group by 1 order by 1`,
    );
    expect(rows).toEqual([
      { status: 'completed', count: 1_400, replies: 0, tokens: 7_000 },
      { status: 'running', count: 1_400, replies: 1_400, tokens: 7_000 },
    ]);
    await test.sql.query(`delete from executor.executions where slug = 'old'`);
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
