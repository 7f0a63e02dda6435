import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ReadDeps } from './await-evaluation.ts';
import type { Evaluation } from './evaluation.ts';

/** Which evaluations are asked for. */
export type ListEvaluationsInput = {
  /** Id or slug; empty means all programs'. */
  readonly program: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
};

const fields: FilterFields = {
  id: { column: 'id', type: 'uuid' },
  program_id: { column: 'program_id', type: 'uuid' },
  program: { column: 'slug', type: 'text' },
  version: { column: 'version', type: 'int' },
  dataset_id: { column: 'dataset_id', type: 'uuid' },
  dataset: { column: 'dataset_slug', type: 'text' },
  dataset_version: { column: 'dataset_version', type: 'int' },
  status: {
    column: 'status',
    type: 'enum',
    values: enumValues('evaluation_status_', ['pending', 'running', 'completed', 'failed', 'cancelled']),
  },
  mean: { column: 'mean', type: 'float' },
  create_time: { column: 'create_time', type: 'timestamp' },
  end_time: { column: 'end_time', type: 'timestamp' },
  labels: { column: 'labels', type: 'labels' },
};

// Ids are made in the order of time.
const byId = { column: 'id', cast: 'uuid' };

/** Lists evaluations, newest first unless said. Fails with INVALID_REQUEST, FILTER_SYNTAX, PAGE_TOKEN_INVALID and PROGRAM_NOT_FOUND. */
export async function listEvaluations(
  deps: ReadDeps & { readonly catalog: Catalog },
  input: ListEvaluationsInput,
  ctx: CallContext,
): Promise<{ readonly evaluations: readonly Evaluation[]; readonly nextPageToken: string }> {
  const limit = pageSize(input.pageSize);
  const [order] = parseOrderBy(input.orderBy, { create_time: byId }, 'create_time desc', { ...byId, name: 'id' });
  const query = ['evaluations', input.program, input.filter, order!.descending ? 'desc' : 'asc'];
  const keys = decodePageToken(input.pageToken, query, 1);
  if (keys !== undefined && !isId(keys[0]!)) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order');
  }
  const binder = createBinder('numbered', 3);
  const filter = parseFilter(input.filter);
  const condition = filter === undefined ? '' : compileFilter(filter, fields, binder);
  const programId = input.program === '' ? undefined : (await deps.catalog.resolve(input.program, 0, ctx, true)).id;
  const listed = await deps.evaluationStore.list({
    programId,
    condition,
    values: binder.values,
    descending: order!.descending,
    afterId: keys?.[0],
    limit: limit + 1,
  });
  const evaluations = listed.slice(0, limit);
  const nextPageToken = listed.length > limit ? encodePageToken(query, [evaluations.at(-1)!.id]) : '';
  return { evaluations, nextPageToken };
}
