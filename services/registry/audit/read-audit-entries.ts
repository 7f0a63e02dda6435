import { pageSize } from '@signet/kit/page-token.ts';
import type { ListQuery, Page } from '../page.ts';
import type { AuditEntry } from './audit-entry.ts';
import type { AuditStore } from './store.postgres.ts';

/** What reading changes needs. */
export type AuditDeps = { readonly audit: AuditStore };

/** Reads a page of changes; INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export function listAuditEntries(deps: AuditDeps, input: Omit<ListQuery, 'name'>): Promise<Page<AuditEntry>> {
  return deps.audit.list({ ...input, pageSize: pageSize(input.pageSize) });
}
