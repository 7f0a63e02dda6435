import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { decodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, shortened, toPage } from '../db/page.ts';
import type { ListQuery, Page } from '../page.ts';
import type { AuditEntry } from './audit-entry.ts';

/** Where changes are kept. Bound to one session. Nothing but the database's own triggers writes there. */
export type AuditStore = ReturnType<typeof createAuditStore>;

const filterFields: FilterFields = {
  id: { column: 'a.id', type: 'uuid' },
  actor_id: { column: 'a.actor_id', type: 'text' },
  actor: { column: 'a.actor', type: 'text' },
  action: { column: 'a.action', type: 'text' },
  operation: { column: 'a.operation', type: 'enum', values: enumValues('', ['create', 'update', 'delete']) },
  resource: { column: 'a.resource', type: 'text' },
  resource_id: { column: 'a.resource_id', type: 'uuid' },
  resource_name: { column: 'a.resource_name', type: 'text' },
  trace_id: { column: 'a.trace_id', type: 'text' },
  create_time: { column: 'a.create_time', type: 'timestamp' },
};
const orderFields = { create_time: { column: 'a.create_time', cast: 'timestamptz' } };
const columns =
  'a.id, a.create_time, a.actor_id, a.actor, a.action, a.operation, a.resource, a.resource_id, a.resource_name, a.before, a.after, a.trace_id';

/** Makes the store of changes on a session. */
export function createAuditStore({ select }: Session) {
  return {
    /** Reads a page of changes; FILTER_SYNTAX, INVALID_REQUEST and PAGE_TOKEN_INVALID for what cannot be read. */
    async list(query: Omit<ListQuery, 'name'>): Promise<Page<AuditEntry>> {
      const tieBreaker = { name: 'id', column: 'a.id', cast: 'uuid' };
      const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', tieBreaker);
      const bound = ['audit entries', query.filter, query.orderBy];
      const after = decodePageToken(query.pageToken, bound, order.length);
      const binder = createBinder();
      const conditions = ['true'];
      const filter = parseFilter(query.filter);
      if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
      if (after !== undefined) conditions.push(keysetSql(order, after, binder));
      const rows = await pageRows(
        select<PageRow>(
          shortened(`select ${columns}, ${orderKeysSql(order)} from registry.audit_log a where ${conditions.join(' and ')}
           order by ${orderSql(order)} limit ${query.pageSize + 1}`),
          binder.values,
        ),
      );
      return toPage(rows, query.pageSize, bound, order.length, toEntry);
    },
  };
}

function toEntry(row: PageRow): AuditEntry {
  return {
    id: row.id as string,
    // MikroORM's driver leaves times as text.
    createTime: new Date(row.create_time as string),
    actorId: row.actor_id as string,
    actor: row.actor as string,
    action: row.action as string,
    operation: row.operation as AuditEntry['operation'],
    resource: row.resource as string,
    resourceId: row.resource_id as string,
    resourceName: row.resource_name as string,
    before: (row.before ?? undefined) as AuditEntry['before'],
    after: (row.after ?? undefined) as AuditEntry['after'],
    traceId: row.trace_id as string,
  };
}
