import type { Database } from '../db/pool.ts';

/** Forgets executions that ended long ago. */
export type RetentionStore = {
  /** Deletes up to `limit` executions that ended more than `ageMs` ago, the oldest first, with all that hangs on them; gives back how many. */
  forget(ageMs: number, limit: number): Promise<number>;
};

/** Makes the store. Several processes may use it at once: each takes what no other holds. */
export function createRetentionStore(database: Database): RetentionStore {
  return {
    async forget(ageMs, limit) {
      const [row] = await database.query<{ count: number }>('retention_forget', forgetText, [ageMs, limit]);
      return row?.count ?? 0;
    },
  };
}

// Ids begin with the milliseconds of their making, so the primary key leads to the old ones without an index on their ends.
const forgetText = `
  with bound as (
    select now() - $1 * interval '1 ms' as at
  ), old as (
    select id from executor.executions, bound
    where id < (lpad(to_hex((extract(epoch from bound.at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
      and status in ('completed', 'failed', 'cancelled') and end_time < bound.at
    order by id limit $2 for update of executions skip locked
  ), ends as (
    delete from executor.execution_ends where execution_id in (select id from old)
  ), gone as (
    delete from executor.executions where id in (select id from old) returning 1
  )
  select count(*)::int as count from gone`;
