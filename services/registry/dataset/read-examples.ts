import { AppError } from '@signet/kit/error/app-error.ts';
import { decodePageToken, encodePageToken, pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import type { Example, Split } from './dataset.ts';
import type { ExampleQuery, ExampleStore } from './examples.postgres.ts';
import { type SelectExamples, selectVersion } from './read-datasets.ts';
import type { DatasetStore } from './store.postgres.ts';

/** What reading examples needs. */
export type ReadExampleDeps = { readonly datasets: DatasetStore; readonly examples: ExampleStore };

/**
 * Reads a page of examples by position. Pages are short where rows are large. Fails with DATASET_NOT_FOUND, VERSION_NOT_FOUND,
 * INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID.
 */
export async function listExamples(
  deps: ReadExampleDeps,
  input: SelectExamples & { readonly pageSize: number; readonly pageToken: string; readonly filter: string },
): Promise<Page<Example>> {
  const limit = pageSize(input.pageSize);
  const { dataset, version } = await selectVersion(deps, input);
  const number = version?.version ?? 0;
  const bound = ['examples', dataset.id, String(input.version), input.splits.join(), input.filter];
  // A version that comes between two pages of the newest one must not show twice, or never, what it replaced.
  const after = decodePageToken(input.pageToken, bound, 2);
  const { asked, afterPosition } = after === undefined ? { asked: number, afterPosition: 0 } : readKeys(after);
  const query = { datasetId: dataset.id, version: asked, splits: input.splits, afterPosition };
  const found = await deps.examples.read({ ...query, limit: limit + 1, filter: input.filter });
  const items = found.slice(0, limit);
  const last = items.at(-1);
  if (last === undefined) return { items, nextPageToken: '' };
  // Less than was asked for may be the end, or what fitted into a message.
  const isMore =
    found.length > limit ||
    (await deps.examples.read({ ...query, limit: 1, afterPosition: last.position, filter: input.filter })).length > 0;
  return { items, nextPageToken: isMore ? encodePageToken(bound, [String(asked), String(last.position)]) : '' };
}

/** Reads all examples of a version by position, in pages of at most 500 and 2 MiB; `limit` 0 means all. */
export async function* readExamples(
  read: (query: ExampleQuery) => Promise<Example[]>,
  query: {
    readonly datasetId: string;
    readonly version: number;
    readonly splits: readonly Split[];
    readonly afterPosition: number;
    readonly limit: number;
  },
): AsyncGenerator<Example[], void> {
  let { afterPosition } = query;
  let left = query.limit === 0 ? Number.POSITIVE_INFINITY : query.limit;
  while (left > 0) {
    const page = await read({ ...query, afterPosition, limit: Math.min(500, left) });
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    left -= page.length;
    afterPosition = last.position;
  }
}

function readKeys([version = '', position = '']: readonly string[]): { asked: number; afterPosition: number } {
  if (/^\d{1,9}$/.test(version) && /^\d{1,15}$/.test(position)) {
    return { asked: Number(version), afterPosition: Number(position) };
  }
  throw new AppError('PAGE_TOKEN_INVALID', 'page_token is not one of this list');
}
