import { Migration } from '@mikro-orm/migrations';

/** Evaluations: a program's version measured on a dataset's version, and how each example did. */
export class Evaluations012 extends Migration {
  override up(): void {
    for (const statement of up) this.addSql(statement);
  }

  override down(): void {
    this.addSql('drop table executor.evaluation_results');
    this.addSql('drop table executor.evaluations');
  }
}

const up = [
  `create table executor.evaluations (
    id uuid primary key,
    program_id uuid not null,
    slug text not null,
    version integer not null,
    dataset_id uuid not null,
    dataset_slug text not null,
    dataset_version integer not null,
    splits text[] not null default '{}',
    metric jsonb not null,
    options jsonb not null default '{}',
    concurrency integer not null constraint evaluations_concurrency check (concurrency > 0),
    labels jsonb not null default '{}',
    status text not null default 'pending'
      constraint evaluations_status check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
    example_count bigint not null,
    result_count bigint not null default 0,
    error_count bigint not null default 0,
    score_sum double precision not null default 0,
    mean double precision,
    tokens_in bigint not null default 0,
    tokens_out bigint not null default 0,
    cost double precision,
    metric_tokens bigint not null default 0,
    metric_cost double precision,
    figures jsonb,
    error jsonb,
    key_id text not null default '',
    trace_id text not null default '',
    traceparent text not null default '',
    lease_owner text,
    lease_token integer not null default 0,
    lease_until timestamptz,
    cancel_requested boolean not null default false,
    attempts integer not null default 0,
    losses integer not null default 0,
    create_time timestamptz(3) not null default now(),
    start_time timestamptz(3),
    end_time timestamptz(3),
    update_time timestamptz(3) not null default now(),
    constraint evaluations_ended check ((status in ('completed', 'failed', 'cancelled')) = (end_time is not null))
  )`,
  'create index evaluations_program on executor.evaluations (program_id, id)',
  `create index evaluations_open on executor.evaluations (id) where status in ('pending', 'running')`,
  `create trigger evaluations_final before update on executor.evaluations for each row
    when (old.status in ('completed', 'failed', 'cancelled')) execute function executor.refuse_change_after_end()`,
  `create table executor.evaluation_results (
    evaluation_id uuid not null references executor.evaluations (id) on delete cascade,
    position bigint not null,
    example_id text not null,
    split text not null,
    execution_id uuid,
    score double precision not null constraint evaluation_results_score check (score between 0 and 1),
    feedback text not null default '',
    phase text not null default '' constraint evaluation_results_phase check (phase in ('', 'execution', 'metric')),
    reason text not null default '',
    message text not null default '',
    duration_ms double precision not null default 0,
    tokens_in bigint not null default 0,
    tokens_out bigint not null default 0,
    cost double precision,
    metric_tokens bigint not null default 0,
    metric_cost double precision,
    primary key (evaluation_id, position)
  )`,
  'create index evaluation_results_score on executor.evaluation_results (evaluation_id, score, position)',
];
