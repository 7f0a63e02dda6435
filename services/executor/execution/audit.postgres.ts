import type { CallContext } from '@signet/kit/call-context.ts';
import { newId } from '@signet/kit/id.ts';
import { traceIdOf } from '@signet/kit/telemetry/traceparent.ts';
import type { Database, Row } from '../db/pool.ts';
import type { ExecutionAuditEntry } from './audit-entry.ts';

/** Which entries are asked for. */
export type AuditQuery = {
  /** SQL of ours over the columns, its values from `$3` on; empty means all. */
  readonly condition: string;
  readonly values: readonly unknown[];
  readonly afterId: string | undefined;
  readonly limit: number;
};

/** What people did to executions, append-only. */
export type ExecutionAudit = {
  /** Notes that a caller asked for the end of an execution; nothing if there is no such execution. */
  noteCancel(executionId: string, ctx: CallContext): Promise<void>;
  /** Deletes an execution that has ended and notes who did it, in one statement. */
  remove(executionId: string, ctx: CallContext): Promise<{ readonly deleted: boolean; readonly there: boolean }>;
  /** Newest first. */
  list(query: AuditQuery): Promise<ExecutionAuditEntry[]>;
};

const columns = 'id::text, create_time, actor_id, actor, action, operation, execution_id::text, slug, status, trace_id';

/** Makes the log over the database. */
export function createExecutionAudit(database: Database): ExecutionAudit {
  return {
    async noteCancel(executionId, ctx) {
      await database.query(
        'audit_cancel',
        `insert into executor.audit_log (id, actor_id, actor, trace_id, action, operation, execution_id, slug, status)
         select $2, $3, $4, $5, 'CancelExecution', 'update', id, slug, status from executor.executions where id = $1`,
        [executionId, newId(), ...who(ctx)],
      );
    },
    async remove(executionId, ctx) {
      const [row] = await database.query<{ deleted: boolean; there: boolean }>(
        'execution_delete',
        `with gone as (
           delete from executor.executions where id = $1 and status in ('completed', 'failed', 'cancelled') returning id, slug, status
         ), noted as (
           insert into executor.audit_log (id, actor_id, actor, trace_id, action, operation, execution_id, slug, status)
           select $2, $3, $4, $5, 'DeleteExecution', 'delete', id, slug, status from gone
         )
         select exists (select from gone) as deleted, exists (select from executor.executions where id = $1) as there`,
        [executionId, newId(), ...who(ctx)],
      );
      return { deleted: row?.deleted === true, there: row?.there === true };
    },
    async list({ condition, values, afterId, limit }) {
      const rows = await database.query(
        '',
        `select ${columns} from executor.audit_log
         where ($1::uuid is null or id < $1::uuid) ${condition === '' ? '' : `and (${condition})`}
         order by id desc limit $2`,
        [afterId ?? null, limit, ...values],
      );
      return rows.map(entryOf);
    },
  };
}

function who(ctx: CallContext): [string, string, string] {
  return [ctx.principal?.keyId ?? '', ctx.principal?.name ?? 'signet', traceIdOf(ctx.trace)];
}

function entryOf(row: Row): ExecutionAuditEntry {
  const text = (name: string): string => row[name] as string;
  return {
    id: text('id'),
    createTime: row.create_time as Date,
    actorId: text('actor_id'),
    actor: text('actor'),
    action: text('action'),
    operation: row.operation as ExecutionAuditEntry['operation'],
    executionId: text('execution_id'),
    slug: text('slug'),
    status: text('status'),
    traceId: text('trace_id'),
  };
}
