import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Batch } from './batch.ts';
import type { BatchStore } from './store.postgres.ts';

/** Which batches are asked for. */
export type ListBatchesInput = {
  /** Id or slug; empty means all programs'. */
  readonly program: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
};

const fields: FilterFields = {
  id: { column: 'id', type: 'uuid' },
  name: { column: 'name', type: 'text' },
  program: { column: 'slug', type: 'text' },
  program_id: { column: 'program_id', type: 'uuid' },
  dataset_id: { column: 'dataset_id', type: 'uuid' },
  status: {
    column: 'status',
    type: 'enum',
    values: enumValues('batch_status_', ['loading', 'running', 'paused', 'completed', 'failed', 'cancelled']),
  },
  create_time: { column: 'create_time', type: 'timestamp' },
  labels: { column: 'labels', type: 'labels' },
};

// Ids are made in the order of time, and one index serves all pages.
const byId = { column: 'id', cast: 'uuid' };

/** Lists batches, newest first unless said. Fails with INVALID_REQUEST, FILTER_SYNTAX, PAGE_TOKEN_INVALID and PROGRAM_NOT_FOUND. */
export async function listBatches(
  deps: { readonly batches: BatchStore; readonly catalog: Catalog },
  input: ListBatchesInput,
  ctx: CallContext,
): Promise<{ readonly batches: readonly Batch[]; readonly nextPageToken: string }> {
  const limit = pageSize(input.pageSize);
  const [order] = parseOrderBy(input.orderBy, { create_time: byId }, 'create_time desc', { ...byId, name: 'id' });
  const query = ['batches', input.program, input.filter, order!.descending ? 'desc' : 'asc'];
  const keys = decodePageToken(input.pageToken, query, 1);
  if (keys !== undefined && !isId(keys[0]!)) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order');
  }
  const binder = createBinder('numbered', 3);
  const filter = parseFilter(input.filter);
  const condition = filter === undefined ? '' : compileFilter(filter, fields, binder);
  const programId = input.program === '' ? undefined : (await deps.catalog.resolve(input.program, 0, ctx, true)).id;
  const found = await deps.batches.list({
    programId,
    condition,
    values: binder.values,
    ascending: !order!.descending,
    afterId: keys?.[0],
    limit: limit + 1,
  });
  const batches = found.slice(0, limit);
  const nextPageToken = found.length > limit ? encodePageToken(query, [batches.at(-1)!.id]) : '';
  return { batches, nextPageToken };
}
