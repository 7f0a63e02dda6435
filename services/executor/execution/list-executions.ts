import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Modules } from '../catalog/modules.ts';
import type { Execution, ExecutionStatus } from './execution.ts';
import type { ExecutionStore } from './store.postgres.ts';

/** What listing needs. */
export type ListDeps = {
  readonly store: ExecutionStore;
  readonly catalog: Catalog;
  readonly modules: Modules;
};

/** Which executions are asked for. */
export type ListInput = {
  /** Id or slug; empty means all programs'. */
  readonly program: string;
  /** Id or name of a registered module; empty means all. */
  readonly module: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
  readonly status: ExecutionStatus | undefined;
};

/** A page of executions; the token is empty on the last one. */
export type ExecutionPage = { readonly executions: readonly Execution[]; readonly nextPageToken: string };

const time = (column: string) => ({ column, type: 'timestamp' }) as const;

/** What filters of executions may name. */
export const executionFields: FilterFields = {
  id: { column: 'id', type: 'uuid' },
  program_id: { column: 'program_id', type: 'uuid' },
  program: { column: 'slug', type: 'text' },
  module_id: { column: 'module_id', type: 'uuid' },
  module: { column: 'module_name', type: 'text' },
  status: {
    column: 'status',
    type: 'enum',
    values: enumValues('execution_status_', ['pending', 'running', 'completed', 'failed', 'cancelled']),
  },
  version: { column: 'version', type: 'int' },
  engine: { column: 'engine', type: 'enum', values: enumValues('engine_', ['python', 'native', 'mock']) },
  parent_execution_id: { column: 'parent_id', type: 'uuid' },
  trace_id: { column: 'trace_id', type: 'text' },
  create_time: time('create_time'),
  inserted_at: time('create_time'),
  executed_at: time('executed_at'),
  update_time: time('update_time'),
  updated_at: time('update_time'),
  duration_ms: { column: 'duration_ms', type: 'float' },
  labels: { column: 'labels', type: 'labels' },
};

// Ids are made in the order of time: they stand for every time of asking, and one index serves all pages.
const byId = { column: 'id', cast: 'uuid' };
const orders = { create_time: byId, inserted_at: byId, executed_at: byId };

/** Lists executions, newest first unless said. Fails with INVALID_REQUEST, FILTER_SYNTAX, PAGE_TOKEN_INVALID, PROGRAM_NOT_FOUND, MODULE_NOT_FOUND. */
export async function listExecutions(deps: ListDeps, input: ListInput, ctx: CallContext): Promise<ExecutionPage> {
  const limit = pageSize(input.pageSize);
  const [order] = parseOrderBy(input.orderBy, orders, 'create_time desc', { ...byId, name: 'id' });
  const query = [
    'executions',
    input.program,
    input.filter,
    order!.descending ? 'desc' : 'asc',
    input.status ?? '',
    input.module,
  ];
  const keys = decodePageToken(input.pageToken, query, 1);
  if (keys !== undefined && !isId(keys[0]!)) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order');
  }
  const binder = createBinder('numbered', 3);
  const conditions: string[] = [];
  if (input.status !== undefined) conditions.push(`status = ${binder.bind(input.status)}`);
  if (input.module !== '') {
    conditions.push(`module_id = ${binder.bind(await deps.modules.idOf(input.module, ctx))}::uuid`);
  }
  const filter = parseFilter(input.filter);
  if (filter !== undefined) conditions.push(compileFilter(filter, executionFields, binder));
  const programId = input.program === '' ? undefined : (await deps.catalog.resolve(input.program, 0, ctx, true)).id;
  const { executions: listed, found } = await deps.store.list({
    programId,
    condition: conditions.join(' and '),
    values: binder.values,
    ascending: !order!.descending,
    afterId: keys?.[0],
    limit: limit + 1,
  });
  const executions = listed.slice(0, limit);
  const nextPageToken = found > executions.length ? encodePageToken(query, [executions.at(-1)!.id]) : '';
  return { executions, nextPageToken };
}

/** The newest executions of all programs, latest first: 0 means 50, above 500 means 500; fewer where they are large. Fails with INVALID_REQUEST. */
export async function recentExecutions(
  deps: { readonly store: ExecutionStore },
  limit: number,
): Promise<readonly Execution[]> {
  if (limit < 0) throw invalidField('limit', 'must not be negative', 'NEGATIVE');
  const { executions } = await deps.store.list({
    programId: undefined,
    condition: '',
    values: [],
    ascending: false,
    afterId: undefined,
    limit: limit === 0 ? 50 : Math.min(limit, 500),
  });
  return executions;
}
