import type { AuditEntry as WireAuditEntry } from '@signet/proto/gen/signet/v1/audit.ts';
import type { AuditEntry } from './audit-entry.ts';

/** Writes a change; the names of fields as JSON has them elsewhere. */
export function toWireAuditEntry({ before, after, ...entry }: AuditEntry): WireAuditEntry {
  return { ...entry, before: before && withJsonNames(before), after: after && withJsonNames(after) };
}

function withJsonNames(row: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const jsonName = (column: string): string => column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(row).map(([column, value]) => [jsonName(column), value]));
}
