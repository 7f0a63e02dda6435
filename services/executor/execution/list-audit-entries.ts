import { AppError } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { ExecutionAudit } from './audit.postgres.ts';
import type { ExecutionAuditEntry } from './audit-entry.ts';

const fields: FilterFields = {
  id: { column: 'id', type: 'uuid' },
  actor_id: { column: 'actor_id', type: 'text' },
  actor: { column: 'actor', type: 'text' },
  action: { column: 'action', type: 'text' },
  operation: { column: 'operation', type: 'enum', values: enumValues('', ['update', 'delete']) },
  resource_id: { column: 'execution_id', type: 'uuid' },
  resource_name: { column: 'slug', type: 'text' },
  trace_id: { column: 'trace_id', type: 'text' },
  create_time: { column: 'create_time', type: 'timestamp' },
};

/** Asks for a page of what people did to executions. */
export type ListAuditInput = { readonly pageSize: number; readonly pageToken: string; readonly filter: string };

/** Lists who ended or deleted executions, newest first. Fails with INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export async function listAuditEntries(
  deps: { readonly audit: ExecutionAudit },
  input: ListAuditInput,
): Promise<{ readonly entries: readonly ExecutionAuditEntry[]; readonly nextPageToken: string }> {
  const limit = pageSize(input.pageSize);
  const bound = ['execution audit entries', input.filter];
  const keys = decodePageToken(input.pageToken, bound, 1);
  if (keys !== undefined && !isId(keys[0]!))
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter');
  const binder = createBinder('numbered', 2);
  const filter = parseFilter(input.filter);
  const condition = filter === undefined ? '' : compileFilter(filter, fields, binder);
  const found = await deps.audit.list({ condition, values: binder.values, afterId: keys?.[0], limit: limit + 1 });
  const entries = found.slice(0, limit);
  return { entries, nextPageToken: found.length > limit ? encodePageToken(bound, [entries.at(-1)!.id]) : '' };
}
