import type { Database } from '../db/pool.ts';
import type { Retention } from '../execution/retention.ts';

// Items stand 64 in a row: so many rows of theirs go at a time, or those of one batch that has more.
const itemsOfRow = 64;

/** Forgets batches that ended more than `ageMs` ago, the oldest first, whole ones with their items; their executions have their own time. */
export function createBatchRetention(database: Database, ageMs: number): Retention {
  return {
    what: 'batches',
    async forget(limit, afterId) {
      const values = [ageMs, limit, limit * itemsOfRow];
      const { length: count } = await database.query('retention_batches', oldText, values);
      return { count, next: count === 0 ? undefined : afterId };
    },
  };
}

const oldText = `
  with ended as (
    select b.id, b.item_count from executor.batches b where b.end_time < now() - $1 * interval '1 ms'
      and not exists (select from executor.batch_chunks c where c.batch_id = b.id and c.status = 'running')
    order by b.id limit $2 for update skip locked
  ), placed as (
    select id, sum(item_count) over upto as items, row_number() over upto as place from ended window upto as (order by id)
  )
  delete from executor.batches where id in (select id from placed where items <= $3 or place = 1) returning 1`;
