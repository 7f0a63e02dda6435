import { invalidField } from '@signet/kit/error/app-error.ts';
import { isSlug } from '../program/slug.ts';
import { type CreateDatasetDeps, type CreateDatasetInput, createDataset } from './create-dataset.ts';
import type { Dataset } from './dataset.ts';

/** Finds the dataset of a slug, or makes it with a program's signature. Fails with INVALID_REQUEST, PROGRAM_NOT_FOUND and VERSION_NOT_FOUND. */
export async function ensureDataset(
  deps: CreateDatasetDeps,
  input: Omit<CreateDatasetInput, 'signature' | 'signatureSpec'>,
): Promise<Dataset> {
  if (!isSlug(input.slug)) throw invalidField('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  const found = await deps.datasets.find(input.slug);
  const name = input.name === '' ? input.slug : input.name;
  return found ?? createDataset(deps, { ...input, name, signature: '', signatureSpec: '' });
}
