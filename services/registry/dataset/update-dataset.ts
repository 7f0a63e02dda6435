import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { type Dataset, datasetNotFound } from './dataset.ts';
import type { DatasetStore } from './store.postgres.ts';

const settable = ['name', 'description', 'labels'] as const;

/** The fields of a dataset that an update may change. */
export type DatasetField = (typeof settable)[number];

const fields: MaskFields<DatasetField> = {
  settable,
  outputOnly: [
    ...['id', 'slug', 'signature_spec', 'signature_id', 'latest_version', 'example_count', 'split_counts'],
    ...['create_time', 'update_time'],
  ],
};

/** Changes of a dataset; `set` are the fields that stand in the request. */
export type UpdateDatasetInput = Pick<Dataset, 'name' | 'description' | 'labels'> & {
  readonly dataset: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly DatasetField[];
};

/** Changes what a dataset is called and its labels. Fails with DATASET_NOT_FOUND, ETAG_MISMATCH and INVALID_REQUEST. */
export async function updateDataset(
  deps: { readonly datasets: DatasetStore },
  input: UpdateDatasetInput,
): Promise<Dataset> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const checks = new FieldChecks();
  if (named.has('name')) checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (named.has('description')) checks.text('description', input.description, { max: 10_000 });
  if (named.has('labels')) checks.labels('labels', input.labels);
  checks.done();
  const before = await deps.datasets.lock(input.dataset);
  if (before === undefined) throw datasetNotFound(input.dataset);
  requireEtag(before, input.etag);
  if (named.size === 0) return before;
  return deps.datasets.change(before, {
    ...(named.has('name') ? { name: input.name } : {}),
    ...(named.has('description') ? { description: input.description } : {}),
    ...(named.has('labels') ? { labels: input.labels } : {}),
  });
}
