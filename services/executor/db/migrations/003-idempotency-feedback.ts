import { Migration } from '@mikro-orm/migrations';

/** First answers of repeated calls, and what people think of executions. */
export class IdempotencyFeedback003 extends Migration {
  override up(): void {
    this.addSql(`create table executor.idempotency (
      key_id text not null,
      method text not null,
      request_id text not null,
      request_hash bytea not null,
      execution_id uuid,
      answer bytea,
      create_time timestamptz not null default now(),
      primary key (key_id, method, request_id)
    )`);
    this.addSql('create index idempotency_age on executor.idempotency (create_time)');
    this.addSql(`create table executor.execution_feedback (
      id uuid primary key,
      execution_id uuid not null references executor.executions (id) on delete cascade,
      score double precision constraint execution_feedback_score check (score between 0 and 1),
      label text not null default '',
      corrected_outputs json,
      comment text not null default '',
      key_id text not null default '',
      create_time timestamptz not null default now()
    )`);
    this.addSql('create index execution_feedback_execution on executor.execution_feedback (execution_id)');
  }

  override down(): void {
    this.addSql('drop table executor.execution_feedback');
    this.addSql('drop table executor.idempotency');
  }
}
