import type { Database, Row } from '../db/pool.ts';
import type { Job, JobOutcome, JobPhase, JobSpend, Trial } from './optimization.ts';

/** What a new job is kept with. */
export type NewJob = Pick<
  Job,
  | 'id'
  | 'programId'
  | 'slug'
  | 'baseVersion'
  | 'optimizerId'
  | 'kind'
  | 'config'
  | 'datasetId'
  | 'datasetVersion'
  | 'splits'
  | 'metric'
  | 'budget'
  | 'seed'
  | 'labels'
  | 'keyId'
  | 'traceparent'
  | 'traceId'
>;

/** What of a job changes while it is worked on. */
export type JobChanges = Partial<
  Pick<
    Job,
    | 'phase'
    | 'scoreBefore'
    | 'scoreAfter'
    | 'evaluationBefore'
    | 'evaluationAfter'
    | 'resultVersion'
    | 'budgetExhausted'
    | 'fault'
    | 'outcome'
  >
>;

/** How a lease stands after it was renewed. */
export type LeaseState = { readonly cancelRequested: boolean };

/** Keeps jobs. Who works on one holds a lease; what is written under a stale token changes nothing. */
export type JobStore = ReturnType<typeof createJobStore>;

/** How long a lease lasts without being renewed. */
export const leaseSeconds = 10;

const lease = `now() + interval '${leaseSeconds} seconds'`;
const touched = 'update_time = now(), event_sequence = j.event_sequence + 1';

const changeColumns: Readonly<Record<keyof JobChanges, string>> = {
  phase: 'phase',
  scoreBefore: 'score_before',
  scoreAfter: 'score_after',
  evaluationBefore: 'evaluation_before',
  evaluationAfter: 'evaluation_after',
  resultVersion: 'result_version',
  budgetExhausted: 'budget_exhausted',
  fault: 'fault',
  outcome: 'outcome',
};
const jsonColumns: ReadonlySet<string> = new Set(['fault', 'outcome']);

const spent = `(select count(*)::int from executor.optimization_lm_calls c where c.job_id = j.id) as lm_calls,
  (select coalesce(sum(c.tokens_in), 0)::text from executor.optimization_lm_calls c where c.job_id = j.id) as tokens_in,
  (select coalesce(sum(c.tokens_out), 0)::text from executor.optimization_lm_calls c where c.job_id = j.id) as tokens_out,
  (select sum(c.cost) from executor.optimization_lm_calls c where c.job_id = j.id) as usd`;

/** Makes the store; `owner` names the process in its leases. */
export function createJobStore(database: Database, owner: string) {
  return {
    /** Keeps a new job that nothing delivers yet. */
    async insert(job: NewJob): Promise<void> {
      await database.query('optimization_job_insert', insertText, [
        ...[job.id, job.programId, job.slug, job.baseVersion, job.optimizerId, job.kind, JSON.stringify(job.config)],
        ...[job.datasetId, job.datasetVersion, JSON.stringify(job.splits), JSON.stringify(job.metric)],
        ...[JSON.stringify(job.budget), String(job.seed), JSON.stringify(job.labels)],
        ...[job.keyId, job.traceparent, job.traceId],
      ]);
    },

    /** Forgets a job that was refused before anybody was told of it. */
    async forget(id: string): Promise<void> {
      await database.query(
        'optimization_job_forget',
        `delete from executor.optimization_jobs where id = $1 and status = 'queued' and fencing_token is null and attempt = 0`,
        [id],
      );
    },

    /** Notes that the registry gave the program to the job, and for how long. */
    async hold(id: string, fencingToken: bigint): Promise<void> {
      await database.query(
        'optimization_job_hold',
        `update executor.optimization_jobs set fencing_token = $2, renewed_at = now()
         where id = $1 and status in ('queued', 'running')`,
        [id, String(fencingToken)],
      );
    },

    /** Notes that the queue has a job. */
    async noteSent(id: string): Promise<void> {
      await database.query(
        'optimization_job_sent',
        `update executor.optimization_jobs set sent_at = now() where id = $1 and status = 'queued'`,
        [id],
      );
    },

    /** Reads a job. */
    async get(id: string): Promise<Job | undefined> {
      const [row] = await database.query(
        'optimization_job_get',
        `select j.*, ${spent} from executor.optimization_jobs j where j.id = $1`,
        [id],
      );
      return row && jobOf(row);
    },

    /** Takes a job that is queued, or whose owner is lost, under a token one higher; undefined if it is not to be had. */
    async claim(id: string): Promise<Job | undefined> {
      const [row] = await database.query('optimization_job_claim', claimText, [id, owner]);
      return row && jobOf(row);
    },

    /** Renews a lease and adds to the time that was spent; undefined once the lease is another's. */
    async renew(id: string, token: number, spentSeconds: number, replayed: number): Promise<LeaseState | undefined> {
      const [row] = await database.query<{ cancel_requested: boolean }>('optimization_job_renew', renewText, [
        ...[id, token, spentSeconds, replayed],
      ]);
      return row && { cancelRequested: row.cancel_requested };
    },

    /** Changes a job under its lease; false once the lease is another's. */
    async change(id: string, token: number, changes: JobChanges): Promise<boolean> {
      const entries = (Object.keys(changes) as (keyof JobChanges)[]).filter((key) => changes[key] !== undefined);
      const sets = entries.map((key, at) => `${changeColumns[key]} = $${at + 3}`);
      const values = entries.map((key) => (jsonColumns.has(key) ? JSON.stringify(changes[key]) : changes[key]));
      const rows = await database.query(
        '',
        `update executor.optimization_jobs j set ${[...sets, touched].join(', ')}
         where j.id = $1 and j.lease_token = $2 and j.status = 'running' returning j.id`,
        [id, token, ...values],
      );
      return rows.length > 0;
    },

    /** Ends a job as was decided, under its lease; false once the lease is another's. */
    async end(id: string, token: number, outcome: JobOutcome): Promise<boolean> {
      const rows = await database.query('optimization_job_end', endText, [
        ...[id, token, outcome.status, outcome.fault === undefined ? null : JSON.stringify(outcome.fault)],
      ]);
      return rows.length > 0;
    },

    /** Gives a job back to the queue: for another attempt, or as it stands for another process to go on with, maybe after a loss. */
    async release(
      id: string,
      token: number,
      how: { readonly isResuming: boolean; readonly isSent: boolean; readonly isLoss?: boolean },
    ): Promise<void> {
      await database.query(
        'optimization_job_release',
        `update executor.optimization_jobs j set status = 'queued', phase = 'queued', lease_owner = null, lease_until = null,
           is_resuming = $3, sent_at = case when $4 then now() end, losses = j.losses + case when $5 then 1 else 0 end, ${touched}
         where j.id = $1 and j.lease_token = $2 and j.status = 'running'`,
        [id, token, how.isResuming, how.isSent, how.isLoss ?? false],
      );
    },

    /**
     * Asks for the end of a job; one that nobody works on is decided here and now, and given back to be told to the registry. Undefined
     * if there is none.
     */
    async cancel(id: string, outcome: JobOutcome): Promise<Job | undefined> {
      const [row] = await database.query('optimization_job_cancel', cancelText, [id, JSON.stringify(outcome), owner]);
      if (row !== undefined) return jobOf(row);
      await database.query(
        'optimization_job_cancel_running',
        `update executor.optimization_jobs j set cancel_requested = true, ${touched}
         where j.id = $1 and j.status = 'running' and not j.cancel_requested`,
        [id],
      );
      return this.get(id);
    },

    /** Gives jobs whose owner is lost back to the queue, those lost too often apart; gives how many of each. */
    async reap(lossMax: number, outcome: JobOutcome): Promise<{ readonly again: number; readonly lost: number }> {
      const [row] = await database.query<{ again: number; lost: number }>('optimization_job_reap', reapText, [
        ...[lossMax, JSON.stringify(outcome)],
      ]);
      return row!;
    },

    /** Jobs that wait although the queue was not told of them, or so long ago that it may have forgotten. */
    async unsent(limit: number): Promise<string[]> {
      const rows = await database.query<{ id: string }>(
        'optimization_job_unsent',
        `select id::text from executor.optimization_jobs where status = 'queued' and outcome is null
           and fencing_token is not null and coalesce(sent_at < now() - interval '600 seconds', true) order by id limit $1`,
        [limit],
      );
      return rows.map(({ id }) => id);
    },

    /** Jobs that were kept but never got their program, of callers that are long gone. */
    async unheld(limit: number): Promise<Job[]> {
      const rows = await database.query(
        'optimization_job_unheld',
        `select j.*, ${spent} from executor.optimization_jobs j where j.status = 'queued' and j.fencing_token is null and j.attempt = 0
           and j.outcome is null and j.create_time < now() - interval '30 seconds' order by j.id limit $1`,
        [limit],
      );
      return rows.map(jobOf);
    },

    /** Takes jobs that are decided but not told to the registry, each under a token one higher. */
    async claimDecided(limit: number): Promise<Job[]> {
      const rows = await database.query('optimization_job_claim_decided', claimDecidedText, [limit, owner]);
      return rows.map(jobOf);
    },

    /** Takes the turn of keeping jobs' programs for them; those that another process has just kept are left out. */
    async dueRenewals(
      everySeconds: number,
    ): Promise<{ readonly jobId: string; readonly programId: string; readonly fencingToken: bigint }[]> {
      const rows = await database.query<{ id: string; program_id: string; fencing_token: string }>(
        'optimization_job_renewals',
        `with due as (
           select id from executor.optimization_jobs where status in ('queued', 'running') and fencing_token is not null
             and coalesce(renewed_at < now() - $1 * interval '1 second', true) order by id limit 1000 for update skip locked)
         update executor.optimization_jobs j set renewed_at = now() from due where j.id = due.id
         returning j.id::text, j.program_id::text, j.fencing_token::text`,
        [everySeconds],
      );
      return rows.map((row) => ({
        jobId: row.id,
        programId: row.program_id,
        fencingToken: BigInt(row.fencing_token),
      }));
    },

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

    /** Reads the state of a candidate. */
    async trialState(id: string, number: number): Promise<string | undefined> {
      const [row] = await database.query<{ state: string }>(
        'optimization_trial_state',
        'select state::text from executor.optimization_trials where job_id = $1 and number = $2',
        [id, number],
      );
      return row?.state;
    },

    /** Reads a page of jobs, newest first unless said; `condition` is over the columns of `j`. */
    async list(query: {
      readonly programId: string | undefined;
      readonly condition: string;
      readonly values: readonly unknown[];
      readonly ascending: boolean;
      readonly afterId: string | undefined;
      readonly limit: number;
    }): Promise<Job[]> {
      const direction = query.ascending ? 'asc' : 'desc';
      const rows = await database.query(
        '',
        `select j.*, ${spent} from executor.optimization_jobs j
         where ($1::uuid is null or j.program_id = $1::uuid)
           and ($2::uuid is null or j.id ${query.ascending ? '>' : '<'} $2::uuid)
           ${query.condition === '' ? '' : `and (${query.condition})`}
         order by j.id ${direction} limit ${query.limit}`,
        [query.programId ?? null, query.afterId ?? null, ...query.values],
      );
      return rows.map(jobOf);
    },
  };
}

const insertText = `insert into executor.optimization_jobs (id, program_id, slug, base_version, optimizer_id, optimizer_type, config, dataset_id,
  dataset_version, splits, metric, budget, seed, labels, key_id, traceparent, trace_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`;

const claimText = `update executor.optimization_jobs j set status = 'running', lease_owner = $2, lease_token = j.lease_token + 1, lease_until = ${lease},
  attempt = j.attempt + case when j.is_resuming then 0 else 1 end, is_resuming = false, start_time = coalesce(j.start_time, now()), ${touched}
where j.id = $1 and j.status = 'queued' and j.outcome is null and j.fencing_token is not null
returning j.*, ${spent}`;

const renewText = `update executor.optimization_jobs j set lease_until = ${lease}, spent_seconds = j.spent_seconds + $3, replayed = j.replayed + $4
where j.id = $1 and j.lease_token = $2 and j.status = 'running' returning j.cancel_requested`;

const endText = `update executor.optimization_jobs j set status = $3, phase = '', end_time = now(), lease_owner = null, lease_until = null,
  fault = coalesce($4::jsonb, case when $3 = 'completed' then null else j.fault end), ${touched}
where j.id = $1 and j.lease_token = $2 and j.status in ('queued', 'running') returning j.id`;

// Whoever cancels what waits tells the registry too, under a lease as if it ran: should it be lost on the way, another one does.
const cancelText = `update executor.optimization_jobs j set cancel_requested = true, outcome = $2, phase = 'finishing', status = 'running',
  lease_owner = $3, lease_token = j.lease_token + 1, lease_until = ${lease}, ${touched}
where j.id = $1 and j.status = 'queued' and j.outcome is null returning j.*, ${spent}`;

const reapText = `with lost as (
  select id, losses + 1 >= $1 as is_final from executor.optimization_jobs
  where status = 'running' and outcome is null and lease_until < now() order by id limit 100 for update skip locked),
again as (
  update executor.optimization_jobs j set status = 'queued', phase = 'queued', losses = j.losses + 1, is_resuming = true, sent_at = null,
    lease_owner = null, lease_until = null, lease_token = j.lease_token + 1, ${touched}
  from lost where j.id = lost.id and not lost.is_final returning j.id),
final as (
  update executor.optimization_jobs j set losses = j.losses + 1, outcome = $2, phase = 'finishing', lease_token = j.lease_token + 1, ${touched}
  from lost where j.id = lost.id and lost.is_final returning j.id)
select (select count(*)::int from again) as again, (select count(*)::int from final) as lost`;

const claimDecidedText = `with decided as (
  select id from executor.optimization_jobs where outcome is not null and status in ('queued', 'running')
    and coalesce(lease_until < now(), true) order by id limit $1 for update skip locked)
update executor.optimization_jobs j set status = 'running', lease_owner = $2, lease_token = j.lease_token + 1, lease_until = ${lease}
from decided where j.id = decided.id returning j.*, ${spent}`;

const putTrialText = `with job as (
  update executor.optimization_jobs j set event_sequence = j.event_sequence + 1, update_time = now(),
    trial_count = greatest(j.trial_count, $3), best_score = case when $8 then $5 else j.best_score end
  where j.id = $1 and j.lease_token = $2 and j.status = 'running' returning j.event_sequence)
insert into executor.optimization_trials (job_id, number, step, score, examples, is_full, is_best, note, predictors, state, sequence)
select $1, $3, $4, $5, $6, $7, $8, $9, $10, $11, job.event_sequence from job
on conflict (job_id, number) do update set step = excluded.step, score = excluded.score, examples = excluded.examples,
  is_full = excluded.is_full, is_best = excluded.is_best, note = excluded.note, predictors = excluded.predictors, state = excluded.state
returning sequence::text`;

function jobOf(row: Row): Job {
  const text = (name: string): string => (row[name] as string | null) ?? '';
  const number = (name: string): number => Number(row[name]);
  const optional = <T>(name: string): T | undefined => (row[name] as T | null) ?? undefined;
  const usd = optional<number>('usd');
  const spend: JobSpend = {
    lmCalls: number('lm_calls'),
    tokensIn: number('tokens_in'),
    tokensOut: number('tokens_out'),
    usd,
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
    ...{ keyId: text('key_id'), traceparent: text('traceparent'), traceId: text('trace_id') },
    createTime: row.create_time as Date,
    ...{ startTime: optional('start_time'), endTime: optional('end_time') },
    updateTime: row.update_time as Date,
  };
}

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
