import { invalidField } from '@signet/kit/error/app-error.ts';
import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { type Dataset, type DatasetVersion, datasetNotFound, datasetVersionNotFound, type Split } from './dataset.ts';
import type { DatasetStore } from './store.postgres.ts';

type Deps = { readonly datasets: DatasetStore };

/** A version of a dataset; none of an empty one. */
export type ResolvedDataset = { readonly dataset: Dataset; readonly version: DatasetVersion | undefined };

/** Reads a dataset by id or slug; DATASET_NOT_FOUND. */
export async function getDataset(deps: Deps, named: string): Promise<Dataset> {
  const found = await deps.datasets.find(named);
  if (found === undefined) throw datasetNotFound(named);
  return found;
}

/** Reads a page of datasets; INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export function listDatasets(
  deps: Deps,
  input: {
    readonly pageSize: number;
    readonly pageToken: string;
    readonly filter: string;
    readonly orderBy: string;
  },
): Promise<Page<Dataset>> {
  return deps.datasets.list({ ...input, pageSize: pageSize(input.pageSize) });
}

/** Reads a page of a dataset's versions, newest first; DATASET_NOT_FOUND, INVALID_REQUEST and PAGE_TOKEN_INVALID. */
export async function listDatasetVersions(
  deps: Deps,
  input: { readonly dataset: string; readonly pageSize: number; readonly pageToken: string },
): Promise<Page<DatasetVersion>> {
  const size = pageSize(input.pageSize);
  const { id } = await getDataset(deps, input.dataset);
  return deps.datasets.versions(id, size, input.pageToken);
}

/** Reads one version of a dataset; DATASET_NOT_FOUND and VERSION_NOT_FOUND. */
export async function getDatasetVersion(
  deps: Deps,
  input: { readonly dataset: string; readonly version: number },
): Promise<DatasetVersion> {
  if (input.version < 1) throw invalidField('version', 'must be 1 or more');
  return (await resolveVersion(deps, await getDataset(deps, input.dataset), input))!;
}

/** Reads a dataset, deleted ones by id too, and a version of it. Fails with DATASET_NOT_FOUND and VERSION_NOT_FOUND. */
export async function resolveDataset(
  deps: Deps,
  input: { readonly dataset: string; readonly version: number },
): Promise<ResolvedDataset> {
  const dataset = await deps.datasets.findEver(input.dataset);
  if (dataset === undefined) throw datasetNotFound(input.dataset);
  return { dataset, version: await resolveVersion(deps, dataset, input) };
}

// 0 is the newest version; there is none before the first import.
async function resolveVersion(
  deps: Deps,
  dataset: Dataset,
  { version }: { readonly version: number },
): Promise<DatasetVersion | undefined> {
  if (version < 0) throw invalidField('version', 'must not be negative');
  if (version === 0 && dataset.latestVersion === 0) return undefined;
  const found = await deps.datasets.version(dataset.id, version === 0 ? dataset.latestVersion : version);
  if (found === undefined) throw datasetVersionNotFound(dataset.slug, version);
  return found;
}

/** A selection of a version's examples. */
export type SelectExamples = {
  readonly dataset: string;
  /** 0 means the newest. */
  readonly version: number;
  /** None means all. */
  readonly splits: readonly Split[];
};

/** Resolves a selection for callers. Fails with DATASET_NOT_FOUND and VERSION_NOT_FOUND. */
export async function selectVersion(deps: Deps, input: SelectExamples): Promise<ResolvedDataset> {
  const dataset = await getDataset(deps, input.dataset);
  return { dataset, version: await resolveVersion(deps, dataset, input) };
}
