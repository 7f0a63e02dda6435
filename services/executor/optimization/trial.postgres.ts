import type { Database, Row } from '../db/pool.ts';
import type { Trial } from './optimization.ts';

/** Makes the store of jobs' candidates. */
export function createTrialStore(database: Database) {
  return {
    /** Keeps a candidate; one of the same number, from before a loss, is replaced. Gives its place among the job's events. */
    async putTrial(
      id: string,
      token: number,
      trial: Omit<Trial, 'sequence' | 'createTime'> & { readonly stateJson: string },
    ): Promise<number | undefined> {
      const [row] = await database.query<{ sequence: string }>('optimization_trial_put', putTrialText, [
        ...[id, token, trial.number, trial.step, trial.score ?? null, trial.examples, trial.isFull, trial.isBest],
        ...[trial.note, JSON.stringify(trial.predictors), trial.stateJson],
      ]);
      return row && Number(row.sequence);
    },

    /** Reads candidates by number, after one of them; those with a sequence above `afterSequence`. */
    async trials(
      id: string,
      after: { readonly number?: number; readonly sequence?: number },
      limit: number,
    ): Promise<Trial[]> {
      const rows = await database.query(
        'optimization_trials_read',
        `select number, step, score, examples, is_full, is_best, note, predictors, sequence::text, create_time
         from executor.optimization_trials where job_id = $1 and number > $2 and sequence > $3 order by number limit $4`,
        [id, after.number ?? 0, after.sequence ?? 0, limit],
      );
      return rows.map(trialOf);
    },
  };
}

const putTrialText = `with job as (
  update executor.optimization_jobs j set event_sequence = j.event_sequence + 2, change_sequence = j.event_sequence + 2, update_time = now(),
    trial_count = greatest(j.trial_count, $3), best_score = case when $8 then $5 else j.best_score end
  where j.id = $1 and j.lease_token = $2 and j.status = 'running' returning j.event_sequence - 1 as sequence)
insert into executor.optimization_trials (job_id, number, step, score, examples, is_full, is_best, note, predictors, state, sequence)
select $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, job.sequence from job
on conflict (job_id, number) do update set step = excluded.step, score = excluded.score, examples = excluded.examples,
  is_full = excluded.is_full, is_best = excluded.is_best, note = excluded.note, predictors = excluded.predictors, state = excluded.state
returning sequence::text`;

function trialOf(row: Row): Trial {
  return {
    number: row.number as number,
    step: row.step as string,
    score: (row.score as number | null) ?? undefined,
    examples: row.examples as number,
    isFull: row.is_full as boolean,
    isBest: row.is_best as boolean,
    note: row.note as string,
    predictors: row.predictors as Trial['predictors'],
    sequence: Number(row.sequence),
    createTime: row.create_time as Date,
  };
}
