import { AppError } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { deriveSlug, isSlug } from '../program/slug.ts';
import { checkConfig } from './check-config.ts';
import type { Optimizer, OptimizerType } from './optimizer.ts';
import { type NewOptimizer, type OptimizerStore, slugTaken } from './store.postgres.ts';

/** A new optimizer. */
export type CreateOptimizerInput = {
  readonly name: string;
  readonly slug: string;
  readonly description: string;
  /** Undefined if nothing was said, null for a value that nobody knows. */
  readonly type: OptimizerType | undefined | null;
  readonly config: JsonRecord | undefined;
  readonly labels: Record<string, string>;
};

/** Makes an optimizer. Fails with INVALID_REQUEST, and NAME_TAKEN for a given slug. */
export async function createOptimizer(
  deps: { readonly optimizers: OptimizerStore },
  input: CreateOptimizerInput,
): Promise<Optimizer> {
  const checked = checkInput(input);
  const insert = (slug: string): Promise<Optimizer | undefined> =>
    deps.optimizers.create({ ...checked, id: newId(), slug });
  if (input.slug !== '') {
    const made = await insert(input.slug);
    if (made === undefined) throw slugTaken(input.slug);
    return made;
  }
  const base = deriveSlug(input.name);
  for (let number = 1; number <= 100; number++) {
    const made = await insert(number === 1 ? base : `${base}-${number}`);
    if (made !== undefined) return made;
  }
  throw new AppError('NAME_TAKEN', 'No slug of the name is free; give one', { metadata: { field: 'slug' } });
}

function checkInput(input: CreateOptimizerInput): Omit<NewOptimizer, 'id' | 'slug'> {
  const { name, slug, description, type, labels } = input;
  const checks = new FieldChecks();
  checks.text('name', name, { max: 200, required: true, oneLine: true });
  if (slug !== '' && !isSlug(slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', description, { max: 10_000 });
  checks.labels('labels', labels);
  const config = input.config ?? {};
  if (type === undefined) checks.add('type', 'is required', 'REQUIRED');
  else if (type === null) checks.add('type', 'is not a known value', 'UNKNOWN_VALUE');
  else checkConfig(type, config, checks);
  checks.done();
  return { name, description, type: type!, config, labels };
}
