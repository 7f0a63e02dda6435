import type { Database, Row } from '../db/pool.ts';
import type { Job, JobOutcome, JobPhase, JobSpend } from './optimization.ts';

const sums = `(select jsonb_build_object('lm_calls', count(*), 'tokens_in', coalesce(sum(c.tokens_in), 0),
  'tokens_out', coalesce(sum(c.tokens_out), 0), 'usd', sum(c.cost)) from executor.optimization_lm_calls c where c.job_id = j.id)`;

/** What a job spent, as a column beside those of the row `j`; kept at its end, when its calls may be forgotten. */
export const spent = `coalesce(j.final_spend, ${sums}) as spend`;

/** Keeps what the job `j` spent; part of the statement that ends it. */
export const keepSpend = `final_spend = ${sums}`;

/** Reads a job and what it spent; undefined if there is none. */
export async function readJob(database: Database, id: string): Promise<Job | undefined> {
  const [row] = await database.query(
    'optimization_job_get',
    `select j.*, ${spent} from executor.optimization_jobs j where j.id = $1`,
    [id],
  );
  return row && jobOf(row);
}

/** Reads a job from its row and what it spent. */
export function jobOf(row: Row): Job {
  const text = (name: string): string => (row[name] as string | null) ?? '';
  const number = (name: string): number => Number(row[name]);
  const optional = <T>(name: string): T | undefined => (row[name] as T | null) ?? undefined;
  const calls = row.spend as { lm_calls: number; tokens_in: number; tokens_out: number; usd: number | null };
  const spend: JobSpend = {
    lmCalls: calls.lm_calls,
    tokensIn: calls.tokens_in,
    tokensOut: calls.tokens_out,
    usd: calls.usd ?? undefined,
    seconds: number('spent_seconds'),
    replayed: number('replayed'),
  };
  return {
    ...{ id: text('id'), programId: text('program_id'), slug: text('slug'), baseVersion: number('base_version') },
    ...{
      optimizerId: text('optimizer_id'),
      kind: row.optimizer_type as Job['kind'],
      config: row.config as Job['config'],
    },
    ...{
      datasetId: text('dataset_id'),
      datasetVersion: number('dataset_version'),
      splits: row.splits as Job['splits'],
    },
    ...{ metric: row.metric as Job['metric'], budget: row.budget as Job['budget'], seed: number('seed') },
    ...{ labels: row.labels as Job['labels'], status: row.status as Job['status'], phase: row.phase as JobPhase },
    ...{ attempt: number('attempt'), losses: number('losses'), leaseToken: number('lease_token') },
    cancelRequested: row.cancel_requested as boolean,
    outcome: optional<JobOutcome>('outcome'),
    spend,
    trialCount: number('trial_count'),
    ...{
      bestScore: optional('best_score'),
      scoreBefore: optional('score_before'),
      scoreAfter: optional('score_after'),
    },
    ...{ evaluationBefore: text('evaluation_before'), evaluationAfter: text('evaluation_after') },
    resultVersion: number('result_version'),
    budgetExhausted: text('budget_exhausted') as Job['budgetExhausted'],
    fault: optional('fault'),
    eventSequence: number('event_sequence'),
    // Nothing comes after the end.
    changeSequence: number(row.end_time === null ? 'change_sequence' : 'event_sequence'),
    ...{ progress: optional('progress'), progressSequence: number('progress_sequence') },
    ...{ keyId: text('key_id'), traceparent: text('traceparent'), traceId: text('trace_id') },
    createTime: row.create_time as Date,
    ...{ startTime: optional('start_time'), endTime: optional('end_time') },
    updateTime: row.update_time as Date,
  };
}
