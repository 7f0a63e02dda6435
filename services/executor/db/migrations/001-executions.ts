import { Migration } from '@mikro-orm/migrations';

/** Executions, their events and the log of their ends. */
export class Executions001 extends Migration {
  override up(): void {
    for (const statement of up) this.addSql(statement);
  }

  override down(): void {
    for (const statement of down) this.addSql(statement);
  }
}

const up = [
  `create table executor.executions (
    id uuid primary key,
    program_id uuid not null,
    slug text not null,
    version integer not null,
    module text not null default '',
    parent_id uuid,
    step text not null default '',
    status text not null default 'pending'
      constraint executions_status check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
    engine text not null constraint executions_engine check (engine in ('python', 'native', 'mock')),
    detached boolean not null,
    inputs json not null,
    outputs json,
    error jsonb,
    error_message text generated always as (error ->> 'message') stored,
    duration_ms double precision,
    options jsonb not null default '{}',
    labels jsonb not null default '{}',
    metadata json not null default '{}',
    metrics json not null default '{}',
    trace json not null default '[]',
    trace_id text not null default '',
    traceparent text not null default '',
    key_id text not null default '',
    retried_from uuid,
    last_sequence bigint not null default 0,
    lease_owner text,
    lease_token integer not null default 0,
    lease_until timestamptz,
    cancel_requested boolean not null default false,
    attempts integer not null default 0,
    worker_losses integer not null default 0,
    executed_at timestamptz not null,
    start_time timestamptz,
    end_time timestamptz,
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    constraint executions_ended check ((status in ('completed', 'failed', 'cancelled')) = (end_time is not null))
  )`,
  'create index executions_program on executor.executions (program_id, id)',
  'create index executions_parent on executor.executions (parent_id) where parent_id is not null',
  `create index executions_pending on executor.executions (id) where status = 'pending'`,
  `create index executions_leased on executor.executions (lease_until) where status = 'running'`,
  `create function executor.refuse_change_after_end() returns trigger language plpgsql as $$
  begin
    raise exception 'execution % has ended and does not change', old.id using errcode = 'check_violation';
  end $$`,
  `create trigger executions_final before update on executor.executions for each row
    when (old.status in ('completed', 'failed', 'cancelled')) execute function executor.refuse_change_after_end()`,
  `create table executor.execution_ends (
    execution_id uuid not null,
    lease_token integer not null,
    status text not null,
    at timestamptz not null default now()
  )`,
  'create index execution_ends_execution on executor.execution_ends (execution_id)',
  `create table executor.execution_events (
    execution_id uuid not null references executor.executions (id) on delete cascade,
    seq bigint not null,
    step text not null,
    status text not null constraint execution_events_status check (status in ('started', 'completed', 'failed')),
    create_time timestamptz not null default now(),
    primary key (execution_id, seq)
  )`,
];

const down = [
  'drop table executor.execution_events',
  'drop table executor.execution_ends',
  'drop table executor.executions',
  'drop function executor.refuse_change_after_end()',
];
