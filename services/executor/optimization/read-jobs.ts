import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Job, jobNotFound, jobStatuses, stepKinds, type Trial } from './optimization.ts';
import type { JobStore } from './store.postgres.ts';

/** What reading jobs needs. */
export type ReadJobsDeps = { readonly jobs: JobStore; readonly catalog: Catalog };

const fields: FilterFields = {
  id: { column: 'j.id', type: 'uuid' },
  program_id: { column: 'j.program_id', type: 'uuid' },
  program: { column: 'j.slug', type: 'text' },
  optimizer_id: { column: 'j.optimizer_id', type: 'text' },
  type: { column: 'j.optimizer_type', type: 'enum', values: enumValues('OPTIMIZER_TYPE_', [...stepKinds, 'beacon']) },
  status: { column: 'j.status', type: 'enum', values: enumValues('OPTIMIZATION_STATUS_', jobStatuses) },
  create_time: { column: 'j.create_time', type: 'timestamp' },
  update_time: { column: 'j.update_time', type: 'timestamp' },
  labels: { column: 'j.labels', type: 'labels' },
};
// Ids are made in the order of time.
const byId = { column: 'j.id', cast: 'uuid' };

/** Reads a job; JOB_NOT_FOUND. */
export async function getJob(deps: Pick<ReadJobsDeps, 'jobs'>, id: string): Promise<Job> {
  const job = isId(id) ? await deps.jobs.get(id) : undefined;
  if (job === undefined) throw jobNotFound(id);
  return job;
}

/** Reads a page of jobs, newest first unless said. INVALID_REQUEST, FILTER_SYNTAX, PAGE_TOKEN_INVALID and PROGRAM_NOT_FOUND. */
export async function listJobs(
  deps: ReadJobsDeps,
  input: { program: string; pageSize: number; pageToken: string; filter: string; orderBy: string },
  ctx: CallContext,
): Promise<{ readonly jobs: readonly Job[]; readonly nextPageToken: string }> {
  const limit = pageSize(input.pageSize);
  const [order] = parseOrderBy(input.orderBy, { create_time: byId }, 'create_time desc', { ...byId, name: 'id' });
  const query = ['optimization jobs', input.program, input.filter, order!.descending ? 'desc' : 'asc'];
  const afterId = keyOf(input.pageToken, query, isId);
  const binder = createBinder('numbered', 2);
  const filter = parseFilter(input.filter);
  const condition = filter === undefined ? '' : compileFilter(filter, fields, binder);
  const programId = input.program === '' ? undefined : (await deps.catalog.resolve(input.program, 0, ctx, true)).id;
  const found = await deps.jobs.list({
    ...{ programId, condition, values: binder.values, ascending: !order!.descending, afterId, limit: limit + 1 },
  });
  const jobs = found.slice(0, limit);
  return { jobs, nextPageToken: found.length > limit ? encodePageToken(query, [jobs.at(-1)!.id]) : '' };
}

/** Reads a page of a job's candidates, the first one first. JOB_NOT_FOUND, INVALID_REQUEST and PAGE_TOKEN_INVALID. */
export async function listTrials(
  deps: Pick<ReadJobsDeps, 'jobs'>,
  input: { job: string; pageSize: number; pageToken: string },
): Promise<{ readonly trials: readonly Trial[]; readonly nextPageToken: string }> {
  const limit = pageSize(input.pageSize);
  const query = ['optimization trials', input.job];
  const after = keyOf(input.pageToken, query, (key) => /^\d{1,9}$/.test(key));
  const { id } = await getJob(deps, input.job);
  const found = await deps.jobs.trials(id, { number: Number(after ?? 0) }, limit + 1);
  const trials = found.slice(0, limit);
  return { trials, nextPageToken: found.length > limit ? encodePageToken(query, [String(trials.at(-1)!.number)]) : '' };
}

function keyOf(token: string, query: readonly string[], isKey: (key: string) => boolean): string | undefined {
  const key = decodePageToken(token, query, 1)?.[0];
  if (key === undefined || isKey(key)) return key;
  throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list with this filter and order');
}
