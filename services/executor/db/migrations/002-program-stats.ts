import { Migration } from '@mikro-orm/migrations';

/** The counters of programs, which move with the ends of executions. */
export class ProgramStats002 extends Migration {
  override up(): void {
    this.addSql(`create table executor.program_stats (
      program_id uuid primary key,
      execution_count bigint not null default 0,
      failed_count bigint not null default 0,
      cancelled_count bigint not null default 0,
      last_executed_at timestamptz,
      last_attempt_at timestamptz not null
    )`);
  }

  override down(): void {
    this.addSql('drop table executor.program_stats');
  }
}
