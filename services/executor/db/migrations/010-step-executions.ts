import { Migration } from '@mikro-orm/migrations';

/** The steps of pipelines: which execution a step is, and steps that were left out. */
export class StepExecutions010 extends Migration {
  override up(): void {
    this.addSql('alter table executor.execution_events add column child_id uuid');
    this.addSql('alter table executor.execution_events drop constraint execution_events_status');
    this.addSql(`alter table executor.execution_events add constraint execution_events_status
      check (status in ('started', 'completed', 'failed', 'skipped'))`);
  }

  override down(): void {
    this.addSql(`delete from executor.execution_events where status = 'skipped'`);
    this.addSql('alter table executor.execution_events drop constraint execution_events_status');
    this.addSql(`alter table executor.execution_events add constraint execution_events_status
      check (status in ('started', 'completed', 'failed'))`);
    this.addSql('alter table executor.execution_events drop column child_id');
  }
}
