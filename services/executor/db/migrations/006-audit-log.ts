import { Migration } from '@mikro-orm/migrations';

/** Who ended or deleted an execution. What people begin is told by the execution itself. */
export class AuditLog006 extends Migration {
  override up(): void {
    this.addSql(`create table executor.audit_log (
      id uuid primary key,
      create_time timestamptz(3) not null default now(),
      actor_id text not null,
      actor text not null,
      action text not null,
      operation text not null constraint audit_log_operation check (operation in ('update', 'delete')),
      execution_id uuid not null,
      slug text not null,
      status text not null,
      trace_id text not null
    )`);
    this.addSql('create index audit_log_execution on executor.audit_log (execution_id)');
    this.addSql(`create function executor.audit_refuse() returns trigger language plpgsql as $$
    begin
      raise exception 'executor.audit_log is append-only' using errcode = '42501';
    end $$`);
    this.addSql(`create trigger audit_log_append_only before update or delete or truncate on executor.audit_log
      for each statement execute function executor.audit_refuse()`);
  }

  override down(): void {
    this.addSql('drop table executor.audit_log');
    this.addSql('drop function executor.audit_refuse()');
  }
}
