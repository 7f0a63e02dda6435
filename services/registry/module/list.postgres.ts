import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { decodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, shortened, toPage } from '../db/page.ts';
import type { ListQuery, Page } from '../page.ts';
import { type Backend, backendOf, idOfClass } from './backend.ts';
import { ModuleEntity } from './module.entity.ts';
import {
  type Module,
  type ModuleView,
  moduleImplementations,
  moduleStates,
  moduleTypes,
  routingStrategies,
} from './module.ts';

/** Asks for a page of modules. */
export type ModuleListQuery = ListQuery & {
  readonly skip: number;
  /** What the executors told; merged in if `merge` says so, and EXECUTING comes from it in any case. */
  readonly backend: Backend;
  readonly merge: boolean;
};

const filterFields: FilterFields = {
  id: { column: 'm.id', type: 'uuid' },
  name: { column: 'm.name', type: 'text' },
  type: { column: 'm.type', type: 'enum', values: enumValues('MODULE_TYPE_', moduleTypes) },
  implementation: {
    column: 'm.implementation',
    type: 'enum',
    values: enumValues('MODULE_IMPLEMENTATION_', moduleImplementations, { python_port: 'python' }),
  },
  state: {
    column: 'm.shown_state',
    type: 'enum',
    values: enumValues('MODULE_STATE_', moduleStates, { active: 'ready' }),
  },
  routing_strategy: {
    column: 'm.routing_strategy',
    type: 'enum',
    values: enumValues('ROUTING_STRATEGY_', routingStrategies),
  },
  signature_id: { column: 'm.signature_id', type: 'uuid' },
  python_module: { column: 'm.python_module', type: 'text' },
  native_module: { column: 'm.native_module', type: 'text' },
  create_time: { column: 'm.create_time', type: 'timestamp' },
  update_time: { column: 'm.update_time', type: 'timestamp' },
  inserted_at: { column: 'm.create_time', type: 'timestamp' },
  updated_at: { column: 'm.update_time', type: 'timestamp' },
  labels: { column: 'm.labels', type: 'labels' },
};

const orderFields = {
  create_time: { column: 'm.create_time', cast: 'timestamptz' },
  update_time: { column: 'm.update_time', cast: 'timestamptz' },
  inserted_at: { column: 'm.create_time', cast: 'timestamptz' },
  updated_at: { column: 'm.update_time', cast: 'timestamptz' },
  name: { column: 'm.name', cast: 'text' },
};

const columns = `id, name, description, type, implementation, state, in_flight, error_message, signature_id, signature_module,
  config, configuration, demos, python_module, native_module, routing_strategy, cache_ttl, optimization_hints,
  performance_metrics, generation, labels, catalog_revision, row_version, create_time, update_time, delete_time`;

/**
 * Reads a page of modules that are not deleted. What only the workers know is merged in before filter, order and page, so that all of
 * them hold for both sides; of one id, or one class behind it, the registry's row wins. FILTER_SYNTAX, INVALID_REQUEST, PAGE_TOKEN_INVALID.
 */
export async function listModules({ em, select }: Session, query: ModuleListQuery): Promise<Page<ModuleView>> {
  const { backend, merge, name, skip } = query;
  const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', {
    name: 'id',
    column: 'm.id',
    cast: 'uuid',
  });
  const bound = ['modules', query.filter, query.orderBy, name, String(merge)];
  const after = decodePageToken(query.pageToken, bound, order.length);
  const binder = createBinder();
  const running = [...backend.byId].flatMap(([id, { running: count }]) => (count > 0 ? [id] : []));
  const source = merge
    ? `select ${columns} from registry.modules where delete_time is null union all ${guests(binder.bind(guestRows(backend)))}`
    : `select ${columns} from registry.modules where delete_time is null`;
  const from = `(select s.*, case when s.state = 'ready' and s.id = any(${binder.bind(running)}::uuid[]) then 'executing'
      else s.state end as shown_state from (${source}) s) m`;
  const conditions = ['true'];
  const filter = parseFilter(query.filter);
  if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
  if (name !== '') conditions.push(`m.name = ${binder.bind(name)}`);
  if (after !== undefined) conditions.push(keysetSql(order, after, binder));
  const rows = await pageRows(
    select<PageRow>(
      shortened(`select m.*, ${orderKeysSql(order)} from ${from} where ${conditions.join(' and ')}
       order by ${orderSql(order)} limit ${query.pageSize + 1} offset ${binder.bind(skip)}::int`),
      binder.values,
    ),
  );
  return toPage(rows, query.pageSize, bound, order.length, (row) => {
    const { shown_state: state, ...stored } = row;
    const module: Module = { ...em.map(ModuleEntity, stored as never), state: state as Module['state'] };
    return { module, backend: merge ? (guestOf(backend, module) ?? backendOf(backend, module)) : undefined };
  });
}

// Modules that no row knows, as rows. Their time is the beginning of time, so that they come last in the usual order.
const guests = (rows: string): string => `
  select g.id, g.name, '', 'custom', 'python', g.state, 0, g.error_message, null::uuid, '', '{}'::jsonb,
    jsonb_build_object('module', 'python:' || g.name, 'promptAdapter', 'chat', 'lm', '', 'lmOptions', '{}'::jsonb,
      'instructions', '', 'modules', '[]'::jsonb, 'metadata', '{}'::jsonb),
    '[]'::jsonb, 'python:' || g.name, '', 'performance_based', 300, '[]'::jsonb, '{}'::jsonb, 0, '{}'::jsonb, 0::bigint, 0,
    to_timestamp(0), to_timestamp(0), null::timestamptz
  from jsonb_to_recordset(${rows}::jsonb) as g(id uuid, name text, state text, error_message text)
  where not exists (select from registry.modules r
    where r.delete_time is null and (r.id = g.id or r.python_module = 'python:' || g.name))`;

function guestRows({ byClass }: Backend): string {
  const rows = [...byClass].map(([name, { held, error }]) => ({
    id: idOfClass(name),
    name,
    state: held ? 'ready' : 'error',
    error_message: held ? '' : error,
  }));
  return JSON.stringify(rows);
}

function guestOf({ byClass }: Backend, { id, name }: Module) {
  const guest = byClass.get(name);
  return guest !== undefined && id === idOfClass(name) ? { ...guest, registered: false } : undefined;
}
