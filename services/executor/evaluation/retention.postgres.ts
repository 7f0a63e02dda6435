import type { Database } from '../db/pool.ts';
import type { Retention } from '../execution/retention.ts';
import { foreignOptions } from './evaluation.ts';

/**
 * Forgets how the examples did of evaluations that ended more than `ageMs` ago, and then the evaluations, but for those that something
 * refers to: a job that stands, and a gate, which looks for the newest completed one of a version on a version of a dataset.
 */
export function createEvaluationRetention(database: Database, ageMs: number): Retention {
  return {
    what: 'evaluations',
    async forget(limit, afterId) {
      const old = await database.query<{ id: string }>('retention_old_evaluations', oldText, [ageMs, limit, afterId]);
      const ids = old.map(({ id }) => id);
      if (ids.length === 0) return { count: 0, next: undefined };
      const { length: results } = await database.query('retention_evaluation_results', resultsText, [ids, limit]);
      if (results === limit) return { count: results, next: afterId };
      const { length: evaluations } = await database.query('retention_evaluations', evaluationsText, [ids]);
      return { count: results + evaluations, next: ids.at(-1) };
    },
  };
}

const bound = `now() - $1 * interval '1 ms'`;
const named = 'e.id in (j.evaluation_before, j.evaluation_after)';

// Those of a job have the job's time, and while one is under way it may be about to name them.
const oldText = `select e.id::text from executor.evaluations e where e.end_time < ${bound} and e.id > $3::uuid and not exists (
    select from executor.optimization_jobs j where j.program_id = e.program_id
      and (j.end_time is null or (j.end_time >= ${bound} and ${named})))
  order by e.id limit $2`;

const resultsText = `with gone as (
  select evaluation_id, position from executor.evaluation_results where evaluation_id = any($1::uuid[]) limit $2 for update skip locked)
delete from executor.evaluation_results r using gone
where r.evaluation_id = gone.evaluation_id and r.position = gone.position returning 1`;

const foreign = (of: string): string =>
  `${of}.options ?| array[${foreignOptions.map((name) => `'${name}'`).join(', ')}]`;

const evaluationsText = `with gone as (
  select e.id from executor.evaluations e where e.id = any($1::uuid[])
    and not exists (select from executor.optimization_jobs j where j.program_id = e.program_id and ${named})
    and (e.status <> 'completed' or ${foreign('e')} or exists (
      select from executor.evaluations n where n.program_id = e.program_id and n.id > e.id and n.status = 'completed'
        and n.version = e.version and n.dataset_id = e.dataset_id and n.dataset_version = e.dataset_version
        and n.metric = e.metric and n.splits @> e.splits and n.splits <@ e.splits and not ${foreign('n')}))
  for update skip locked)
delete from executor.evaluations where id in (select id from gone) returning 1`;
