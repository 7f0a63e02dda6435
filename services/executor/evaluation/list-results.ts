import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import { getEvaluation, type ReadDeps } from './await-evaluation.ts';
import type { FullResult } from './evaluation.ts';

/** Which results are asked for. */
export type ListResultsInput = {
  readonly evaluation: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
  readonly payloads: boolean;
};

const fields: FilterFields = {
  position: { column: 'r.position', type: 'int' },
  example_id: { column: 'r.example_id', type: 'text' },
  split: { column: 'r.split', type: 'enum', values: enumValues('split_', ['train', 'validation', 'test']) },
  score: { column: 'r.score', type: 'float' },
  phase: { column: 'r.phase', type: 'text' },
  reason: { column: 'r.reason', type: 'text' },
  duration_ms: { column: 'r.duration_ms', type: 'float' },
};

const payloadPageMax = 100;
const orders = /^(position|score)(?: (asc|desc))?$/;

/** Lists how each example did. Fails with EVALUATION_NOT_FOUND, INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export async function listResults(
  deps: ReadDeps,
  input: ListResultsInput,
): Promise<{ readonly results: readonly FullResult[]; readonly nextPageToken: string }> {
  const asked = pageSize(input.pageSize);
  const limit = input.payloads ? Math.min(asked, payloadPageMax) : asked;
  const [, order, direction] = orders.exec(input.orderBy.trim() || 'position') ?? [];
  if (order === undefined) throw invalidField('order_by', 'takes `position` or `score`, with ` desc` if wanted');
  const { id } = await getEvaluation(deps, input.evaluation);
  const query = ['evaluation results', id, input.filter, order, direction ?? 'asc', String(input.payloads)];
  const keys = decodePageToken(input.pageToken, query, 2)?.map(Number);
  if (keys?.some((key) => !Number.isFinite(key)) === true) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order');
  }
  const binder = createBinder('numbered', 3);
  const filter = parseFilter(input.filter);
  const condition = filter === undefined ? '' : compileFilter(filter, fields, binder);
  const { results: listed, found } = await deps.evaluationStore.results(
    {
      evaluationId: id,
      condition,
      values: binder.values,
      order: order as 'position' | 'score',
      descending: direction === 'desc',
      after: keys && { key: keys[0]!, position: keys[1]! },
      limit: limit + 1,
    },
    input.payloads,
  );
  const results = listed.slice(0, limit);
  const last = results.at(-1);
  if (last === undefined || found <= results.length) return { results, nextPageToken: '' };
  const place = [String(order === 'score' ? last.score : last.position), String(last.position)];
  return { results, nextPageToken: encodePageToken(query, place) };
}
