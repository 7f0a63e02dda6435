import { requireEtag } from '../check/etag.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { checkConfig } from './check-config.ts';
import { type Optimizer, optimizerNotFound } from './optimizer.ts';
import type { OptimizerStore } from './store.postgres.ts';

/** The fields of an optimizer that an update may change. */
export type OptimizerField = 'name' | 'description' | 'config' | 'labels';

const fields: MaskFields<OptimizerField> = {
  settable: ['name', 'description', 'config', 'labels'],
  outputOnly: ['id', 'slug', 'type', 'state', 'create_time', 'update_time'],
};

/** Changes of an optimizer; `set` are the fields that stand in the request. */
export type UpdateOptimizerInput = {
  readonly optimizer: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly OptimizerField[];
  readonly name: string;
  readonly description: string;
  readonly config: JsonRecord | undefined;
  readonly labels: Record<string, string>;
};

/** Changes an optimizer; jobs that run keep the settings with which they began. Fails with OPTIMIZER_NOT_FOUND, ETAG_MISMATCH and INVALID_REQUEST. */
export async function updateOptimizer(
  deps: { readonly optimizers: OptimizerStore },
  input: UpdateOptimizerInput,
): Promise<Optimizer> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const before = await deps.optimizers.lock(input.optimizer);
  if (before === undefined) throw optimizerNotFound(input.optimizer);
  requireEtag(before, input.etag);
  if (named.size === 0) return before;
  const { name, description, labels, config = {} } = input;
  const checks = new FieldChecks();
  if (named.has('name')) checks.text('name', name, { max: 200, required: true, oneLine: true });
  if (named.has('description')) checks.text('description', description, { max: 10_000 });
  if (named.has('labels')) checks.labels('labels', labels);
  if (named.has('config')) checkConfig(before.type, config, checks);
  checks.done();
  return deps.optimizers.change(before, {
    ...(named.has('name') ? { name } : {}),
    ...(named.has('description') ? { description } : {}),
    ...(named.has('config') ? { config } : {}),
    ...(named.has('labels') ? { labels } : {}),
  });
}
