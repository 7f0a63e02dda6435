import { Migration } from '@mikro-orm/migrations';

/** What jobs say while they run, what they had spent at their end, and a way to the answers that nobody will be given again. */
export class JobLog017 extends Migration {
  override up(): void {
    this.addSql(`alter table executor.optimization_jobs add column change_sequence bigint not null default 1,
      add column progress jsonb, add column progress_sequence bigint not null default 0, add column final_spend jsonb`);
    this.addSql('alter table executor.optimization_jobs disable trigger optimization_jobs_final');
    this.addSql(`update executor.optimization_jobs j set change_sequence = event_sequence,
      final_spend = case when end_time is not null then (
        select jsonb_build_object('lm_calls', count(*), 'tokens_in', coalesce(sum(c.tokens_in), 0),
          'tokens_out', coalesce(sum(c.tokens_out), 0), 'usd', sum(c.cost))
        from executor.optimization_lm_calls c where c.job_id = j.id) end`);
    this.addSql('alter table executor.optimization_jobs enable trigger optimization_jobs_final');
    this.addSql(`create table executor.optimization_log (
      job_id uuid not null references executor.optimization_jobs (id) on delete cascade,
      sequence bigint not null,
      level text not null,
      text text not null,
      create_time timestamptz(3) not null,
      primary key (job_id, sequence)
    )`);
    this.addSql('create index lm_calls_replies on executor.lm_calls (execution_id) where reply is not null');
    this.addSql(
      'create index optimization_lm_calls_replies on executor.optimization_lm_calls (job_id) where reply is not null',
    );
  }

  override down(): void {
    this.addSql('drop index executor.optimization_lm_calls_replies');
    this.addSql('drop index executor.lm_calls_replies');
    this.addSql('drop table executor.optimization_log');
    this.addSql(`alter table executor.optimization_jobs drop column final_spend, drop column progress_sequence,
      drop column progress, drop column change_sequence`);
  }
}
