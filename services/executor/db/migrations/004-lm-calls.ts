import { Migration } from '@mikro-orm/migrations';

/** What language models were asked by executions, and what a run that begins anew is given again. */
export class LmCalls004 extends Migration {
  override up(): void {
    this.addSql(`create table executor.lm_calls (
      execution_id uuid not null,
      seq integer not null constraint lm_calls_seq check (seq > 0),
      run integer not null,
      lm text not null,
      model text not null,
      request_hash bytea not null,
      reply text,
      finish_reason text not null default '',
      tokens_in bigint not null,
      tokens_out bigint not null,
      cost double precision constraint lm_calls_cost check (cost >= 0),
      duration_ms double precision not null,
      attempts integer not null,
      reason text not null default '',
      create_time timestamptz not null default now(),
      primary key (execution_id, seq)
    )`);
    // A foreign key would lock the row of the execution with each call that is written; this costs only who deletes.
    this.addSql(`create function executor.forget_lm_calls() returns trigger language plpgsql as $$ begin
      delete from executor.lm_calls where execution_id in (select id from gone);
      return null;
    end $$`);
    this.addSql(`create trigger lm_calls_go_along after delete on executor.executions referencing old table as gone
      for each statement execute function executor.forget_lm_calls()`);
  }

  override down(): void {
    this.addSql('drop trigger if exists lm_calls_go_along on executor.executions');
    this.addSql('drop function executor.forget_lm_calls()');
    this.addSql('drop table executor.lm_calls');
  }
}
