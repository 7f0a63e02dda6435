import type { AuditEntry } from '@signet/proto/gen/signet/v1/audit.ts';
import type { ExecutionAuditEntry } from './audit-entry.ts';

/** Writes what somebody did to an execution. */
export function toWireAuditEntry({ executionId, slug, status, ...entry }: ExecutionAuditEntry): AuditEntry {
  const before = { status };
  return { ...entry, resource: 'execution', resourceId: executionId, resourceName: slug, before, after: undefined };
}
