import { Migration } from '@mikro-orm/migrations';

/** How other engines did what executions had done. */
export class ExecutionShadows009 extends Migration {
  override up(): void {
    this.addSql(`create table executor.execution_shadows (
      execution_id uuid primary key references executor.executions (id) on delete cascade,
      program_id uuid not null,
      slug text not null,
      version integer not null,
      engine text not null constraint execution_shadows_engine check (engine in ('python', 'native')),
      primary_engine text not null constraint execution_shadows_primary check (primary_engine in ('python', 'native')),
      status text not null
        constraint execution_shadows_status check (status in ('equal', 'different', 'failed', 'skipped')),
      differences jsonb not null default '{}',
      figures jsonb not null default '{}',
      reason text not null default '',
      message text not null default '',
      create_time timestamptz(3) not null default now()
    )`);
    this.addSql('create index execution_shadows_program on executor.execution_shadows (program_id, execution_id)');
  }

  override down(): void {
    this.addSql('drop table executor.execution_shadows');
  }
}
