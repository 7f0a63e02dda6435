import type { Database } from '../db/pool.ts';
import { jobOf, keepSpend, readJob, spent } from './job-row.postgres.ts';
import type { Job, JobOutcome } from './optimization.ts';

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

/** How long a lease lasts without being renewed. */
export const leaseSeconds = 10;

const lease = `now() + interval '${leaseSeconds} seconds'`;
const touched = 'update_time = now(), event_sequence = j.event_sequence + 1, change_sequence = j.event_sequence + 1';

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

/** Makes who works on which job until when; `owner` names the process in its leases. Only the database's clock counts. */
export function createJobLeases(database: Database, owner: string) {
  return {
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
      return readJob(database, id);
    },

    /** Gives jobs whose owner is lost back to the queue, those lost too often apart; gives how many of each. */
    async reap(lossMax: number, outcome: JobOutcome): Promise<{ readonly again: number; readonly lost: number }> {
      const [row] = await database.query<{ again: number; lost: number }>('optimization_job_reap', reapText, [
        ...[lossMax, JSON.stringify(outcome)],
      ]);
      return row!;
    },

    /** Takes jobs that are decided but not told to the registry, each under a token one higher. */
    async claimDecided(limit: number): Promise<Job[]> {
      const rows = await database.query('optimization_job_claim_decided', claimDecidedText, [limit, owner]);
      return rows.map(jobOf);
    },
  };
}

const claimText = `update executor.optimization_jobs j set status = 'running', lease_owner = $2, lease_token = j.lease_token + 1, lease_until = ${lease},
  attempt = j.attempt + case when j.is_resuming then 0 else 1 end, is_resuming = false, start_time = coalesce(j.start_time, now()), ${touched}
where j.id = $1 and j.status = 'queued' and j.outcome is null and j.fencing_token is not null
returning j.*, ${spent}`;

const renewText = `update executor.optimization_jobs j set lease_until = ${lease}, spent_seconds = j.spent_seconds + $3, replayed = j.replayed + $4
where j.id = $1 and j.lease_token = $2 and j.status = 'running' returning j.cancel_requested`;

const endText = `update executor.optimization_jobs j set status = $3, phase = '', end_time = now(), lease_owner = null, lease_until = null,
  fault = coalesce($4::jsonb, case when $3 = 'completed' then null else j.fault end), ${keepSpend}, ${touched}
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
