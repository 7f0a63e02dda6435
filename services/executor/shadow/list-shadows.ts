import { AppError } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { ExecutionShadow, ShadowSummary } from './shadow.ts';
import type { ShadowStore } from './store.postgres.ts';

const engines = enumValues('engine_', ['python', 'native']);
const fields: FilterFields = {
  execution_id: { column: 'execution_id', type: 'uuid' },
  program_id: { column: 'program_id', type: 'uuid' },
  program: { column: 'slug', type: 'text' },
  version: { column: 'version', type: 'int' },
  engine: { column: 'engine', type: 'enum', values: engines },
  primary_engine: { column: 'primary_engine', type: 'enum', values: engines },
  status: {
    column: 'status',
    type: 'enum',
    values: enumValues('shadow_status_', ['equal', 'different', 'failed', 'skipped']),
  },
  reason: { column: 'reason', type: 'text' },
  create_time: { column: 'create_time', type: 'timestamp' },
};
const programMax = 1_000;

/** What listing comparisons needs. */
export type ListShadowsDeps = { readonly shadows: ShadowStore };

/** Asks for a page of comparisons. */
export type ListShadowsInput = { readonly pageSize: number; readonly pageToken: string; readonly filter: string };

/** A page of comparisons; the first one has the sums by program of all that the filter lets in. */
export type ShadowPage = {
  readonly shadows: readonly ExecutionShadow[];
  readonly nextPageToken: string;
  readonly summaries: readonly ShadowSummary[];
};

/** Lists comparisons, newest execution first. Fails with INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export async function listShadows(deps: ListShadowsDeps, input: ListShadowsInput): Promise<ShadowPage> {
  const limit = pageSize(input.pageSize);
  const bound = ['execution shadows', input.filter];
  const keys = decodePageToken(input.pageToken, bound, 1);
  if (keys !== undefined && !isId(keys[0]!)) {
    throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter');
  }
  const filter = parseFilter(input.filter);
  const conditionFrom = (taken: number) => {
    const binder = createBinder('numbered', taken);
    return { condition: filter === undefined ? '' : compileFilter(filter, fields, binder), values: binder.values };
  };
  const found = await deps.shadows.list({ ...conditionFrom(2), afterId: keys?.[0], limit: limit + 1 });
  const summaries = keys === undefined ? await deps.shadows.sum({ ...conditionFrom(0), limit: programMax }) : [];
  const shadows = found.slice(0, limit);
  const last = found.length > limit ? shadows.at(-1) : undefined;
  return { shadows, summaries, nextPageToken: last === undefined ? '' : encodePageToken(bound, [last.executionId]) };
}
