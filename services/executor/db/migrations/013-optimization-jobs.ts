import { Migration } from '@mikro-orm/migrations';

/** Optimization jobs, the candidates that they tried, and what language models were asked and answered: a job that is lost goes on from here. */
export class OptimizationJobs013 extends Migration {
  override up(): void {
    for (const statement of up) this.addSql(statement);
  }

  override down(): void {
    for (const table of ['optimization_lm_calls', 'optimization_trials', 'optimization_jobs']) {
      this.addSql(`drop table executor.${table}`);
    }
  }
}

const up = [
  `create table executor.optimization_jobs (
    id uuid primary key,
    program_id uuid not null,
    slug text not null,
    base_version integer not null,
    optimizer_id text not null default '',
    optimizer_type text not null,
    config jsonb not null default '{}',
    dataset_id uuid not null,
    dataset_version integer not null,
    splits jsonb not null,
    metric jsonb not null,
    budget jsonb not null,
    seed bigint not null default 0,
    labels jsonb not null default '{}',
    status text not null default 'queued'
      constraint optimization_jobs_status check (status in ('queued', 'running', 'completed', 'failed', 'cancelled')),
    phase text not null default 'queued',
    is_resuming boolean not null default false,
    attempt integer not null default 0,
    losses integer not null default 0,
    lease_owner text,
    lease_token integer not null default 0,
    lease_until timestamptz,
    sent_at timestamptz,
    fencing_token bigint,
    renewed_at timestamptz,
    cancel_requested boolean not null default false,
    outcome jsonb,
    spent_seconds double precision not null default 0,
    replayed bigint not null default 0,
    trial_count integer not null default 0,
    best_score double precision,
    score_before double precision,
    score_after double precision,
    evaluation_before uuid,
    evaluation_after uuid,
    result_version integer not null default 0,
    budget_exhausted text not null default '',
    fault jsonb,
    event_sequence bigint not null default 1,
    key_id text not null default '',
    traceparent text not null default '',
    trace_id text not null default '',
    create_time timestamptz not null default now(),
    start_time timestamptz,
    end_time timestamptz,
    update_time timestamptz not null default now(),
    constraint optimization_jobs_ended check ((status in ('completed', 'failed', 'cancelled')) = (end_time is not null))
  )`,
  'create index optimization_jobs_program on executor.optimization_jobs (program_id, id)',
  `create index optimization_jobs_open on executor.optimization_jobs (id) where status in ('queued', 'running')`,
  `create trigger optimization_jobs_final before update on executor.optimization_jobs for each row
    when (old.status in ('completed', 'failed', 'cancelled')) execute function executor.refuse_change_after_end()`,
  `create table executor.optimization_trials (
    job_id uuid not null references executor.optimization_jobs (id) on delete cascade,
    number integer not null,
    step text not null,
    score double precision constraint optimization_trials_score check (score between 0 and 1),
    examples integer not null,
    is_full boolean not null,
    is_best boolean not null,
    note text not null,
    predictors jsonb not null,
    state json not null,
    sequence bigint not null,
    create_time timestamptz not null default now(),
    primary key (job_id, number)
  )`,
  `create table executor.optimization_lm_calls (
    job_id uuid not null references executor.optimization_jobs (id) on delete cascade,
    seq integer not null,
    request_hash bytea not null,
    lm text not null,
    reply text,
    finish_reason text not null default '',
    reason text not null default '',
    tokens_in bigint not null,
    tokens_out bigint not null,
    cost double precision constraint optimization_lm_calls_cost check (cost >= 0),
    create_time timestamptz not null default now(),
    end_time timestamptz,
    primary key (job_id, seq)
  )`,
];
