import type { Database } from '../db/pool.ts';
import { jobOf, readJob, spent } from './job-row.postgres.ts';
import { createJobLeases } from './lease.postgres.ts';
import { createJobLogStore } from './log.postgres.ts';
import type { Job } from './optimization.ts';
import { createTrialStore } from './trial.postgres.ts';

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

/** Keeps jobs. Who works on one holds a lease; what is written under a stale token changes nothing. */
export type JobStore = ReturnType<typeof createJobStore>;

/** Makes the store; `owner` names the process in its leases. */
export function createJobStore(database: Database, owner: string) {
  return {
    ...createJobLeases(database, owner),
    ...createTrialStore(database),
    ...createJobLogStore(database),

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
      return readJob(database, id);
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
