import type { Database } from '../db/pool.ts';
import type { Retention } from '../execution/retention.ts';

/**
 * Forgets what optimization jobs that ended more than `ageMs` ago were made of: calls, log and candidates. The job itself stays where a version
 * came of it, whose lineage names it; without one it goes too.
 */
export function createJobRetention(database: Database, ageMs: number): Retention {
  return {
    what: 'optimization jobs',
    async forget(limit, afterId) {
      const old = await database.query<{ id: string }>('retention_old_jobs', oldText, [ageMs, limit, afterId]);
      const ids = old.map(({ id }) => id);
      if (ids.length === 0) return { count: 0, next: undefined };
      let count = 0;
      for (const [name, text] of partTexts) {
        const { length } = await database.query(name, text, [ids, limit]);
        count += length;
        if (length === limit) return { count, next: afterId };
      }
      count += (await database.query('retention_jobs', jobsText, [ids])).length;
      return { count, next: ids.at(-1) };
    },
  };
}

/** Forgets what language models answered to jobs that have ended: it was kept for jobs that go on in another process. */
export function createJobReplyRetention(database: Database): Retention {
  return {
    what: 'replies',
    async forget(limit, afterId) {
      const rows = await database.query<{ id: string }>('retention_job_replies', repliesText, [limit, afterId]);
      // One that asked more than the limit is not over yet.
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

// Without what it spent a job would be told to have spent nothing.
const oldText = `select id::text from executor.optimization_jobs
  where end_time < now() - $1 * interval '1 ms' and final_spend is not null and id > $3::uuid order by id limit $2`;

const parts = { optimization_lm_calls: 'seq', optimization_log: 'sequence', optimization_trials: 'number' } as const;
const partTexts = Object.entries(parts).map(
  ([table, key]) =>
    [
      `retention_${table}`,
      `with gone as (
        select job_id, ${key} from executor.${table} where job_id = any($1::uuid[]) limit $2 for update skip locked)
      delete from executor.${table} p using gone where p.job_id = gone.job_id and p.${key} = gone.${key} returning 1`,
    ] as const,
);

const jobsText = `with gone as (
  select id from executor.optimization_jobs where id = any($1::uuid[]) and result_version = 0 for update skip locked)
delete from executor.optimization_jobs where id in (select id from gone) returning 1`;

const repliesText = `with over as (
  select c.job_id, c.seq from executor.optimization_lm_calls c join executor.optimization_jobs j on j.id = c.job_id
  where c.reply is not null and c.job_id >= $2::uuid and j.end_time is not null
  order by c.job_id limit $1 for update of c skip locked)
update executor.optimization_lm_calls c set reply = null from over o where c.job_id = o.job_id and c.seq = o.seq
returning c.job_id::text as id`;
