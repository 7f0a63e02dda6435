import type { Database } from '../db/pool.ts';
import type { Retention } from './retention.ts';

/**
 * Forgets executions that ended more than `ageMs` ago, the oldest first, with all that hangs on them. What a run or a batch or an evaluation
 * that has not ended is made of stays: somebody may have to go on with it.
 */
export function createExecutionRetention(database: Database, ageMs: number): Retention {
  return {
    what: 'executions',
    async forget(limit, afterId) {
      const [row] = await database.query<{ count: number; last_id: string | null }>('retention_executions', oldText, [
        ...[ageMs, limit, afterId],
      ]);
      return { count: row?.count ?? 0, next: row?.last_id ?? undefined };
    },
  };
}

/** Forgets what language models answered to executions that have ended: it was kept for runs that begin anew. */
export function createReplyRetention(database: Database): Retention {
  return {
    what: 'replies',
    async forget(limit, afterId) {
      const rows = await database.query<{ id: string }>('retention_replies', repliesText, [limit, afterId]);
      // One that was asked for more than the limit is not over yet.
      return {
        count: rows.length,
        next: rows
          .map(({ id }) => id)
          .sort()
          .at(-1),
      };
    },
  };
}

// Ids begin with the milliseconds of their making, so the primary key leads to the old ones without an index on their ends.
const oldText = `
  with bound as (
    select now() - $1 * interval '1 ms' as at
  ), open as (
    select id::text from executor.batches where end_time is null
    union all select id::text from executor.evaluations where end_time is null
  ), old as (
    select e.id from executor.executions e, bound
    where e.id < (lpad(to_hex((extract(epoch from bound.at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
      and e.id > $3::uuid
      and e.status in ('completed', 'failed', 'cancelled') and e.end_time < bound.at
      and coalesce(e.labels ->> 'batch' not in (select id from open), true)
      and coalesce(e.labels ->> 'evaluation' not in (select id from open), true)
      and not exists (select from executor.executions p where p.id = e.parent_id and p.end_time is null)
    order by e.id limit $2 for update of e skip locked
  ), ends as (
    delete from executor.execution_ends where execution_id in (select id from old)
  ), gone as (
    delete from executor.executions where id in (select id from old) returning 1
  )
  select (select count(*)::int from gone) as count, (select id::text from old order by id desc limit 1) as last_id`;

const repliesText = `
  with over as (
    select c.execution_id, c.seq from executor.lm_calls c join executor.executions e on e.id = c.execution_id
    where c.reply is not null and c.execution_id >= $2::uuid and e.end_time is not null
    order by c.execution_id limit $1 for update of c skip locked
  )
  update executor.lm_calls c set reply = null from over o where c.execution_id = o.execution_id and c.seq = o.seq
  returning c.execution_id::text as id`;
