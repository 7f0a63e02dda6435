import { Migration } from '@mikro-orm/migrations';

/** Batches, and their items in chunks: a row each would cost more than most items do. */
export class Batches011 extends Migration {
  override up(): void {
    this.addSql(`create table executor.batches (
      id uuid primary key,
      name text not null default '',
      program_id uuid not null,
      slug text not null,
      version integer not null,
      status text not null
        constraint batches_status check (status in ('loading', 'running', 'paused', 'completed', 'failed', 'cancelled')),
      dataset_id uuid,
      dataset_version integer not null default 0,
      splits text[] not null default '{}',
      keep_valid_rows boolean not null default false,
      item_count bigint not null default 0,
      rejected_count bigint not null default 0,
      row_faults jsonb not null default '[]',
      concurrency integer not null,
      options jsonb not null default '{}',
      labels jsonb not null default '{}',
      key_id text not null default '',
      error_message text not null default '',
      loader_token integer not null default 0,
      loader_until timestamptz,
      create_time timestamptz not null default now(),
      start_time timestamptz,
      end_time timestamptz,
      update_time timestamptz not null default now(),
      constraint batches_ended check ((status in ('completed', 'failed', 'cancelled')) = (end_time is not null))
    )`);
    this.addSql('create index batches_program on executor.batches (program_id, id)');
    this.addSql(`create index batches_open on executor.batches (id) where status in ('loading', 'running')`);
    this.addSql(`create table executor.batch_chunks (
      batch_id uuid not null references executor.batches (id) on delete cascade,
      first_index bigint not null,
      item_count integer not null,
      status text not null default 'pending'
        constraint batch_chunks_status check (status in ('pending', 'running', 'done')),
      execution_ids uuid[] not null,
      example_ids uuid[],
      inputs text,
      outcomes text not null,
      faults jsonb not null default '{}',
      completed_count integer not null default 0,
      failed_count integer not null default 0,
      cancelled_count integer not null default 0,
      lease_owner text,
      lease_token integer not null default 0,
      lease_until timestamptz,
      primary key (batch_id, first_index),
      constraint batch_chunks_whole check (length(outcomes) = item_count and cardinality(execution_ids) = item_count)
    )`);
    this.addSql(
      `create index batch_chunks_open on executor.batch_chunks (batch_id, first_index) where status <> 'done'`,
    );
    this.addSql(`create index batch_chunks_leased on executor.batch_chunks (lease_until) where status = 'running'`);
  }

  override down(): void {
    this.addSql('drop table executor.batch_chunks');
    this.addSql('drop table executor.batches');
  }
}
