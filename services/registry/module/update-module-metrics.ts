import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { type Module, moduleNotFound } from './module.ts';
import type { ModuleStore } from './store.postgres.ts';

/** Figures of a module. */
export type UpdateModuleMetricsInput = { readonly module: string; readonly metrics?: JsonRecord | undefined };

/** Merges figures into a module's, key by key; of many at once none is lost. Fails with MODULE_NOT_FOUND and INVALID_REQUEST. */
export async function updateModuleMetrics(
  deps: { readonly modules: ModuleStore },
  input: UpdateModuleMetricsInput,
): Promise<Module> {
  const checks = new FieldChecks();
  if (input.metrics === undefined) checks.add('metrics', 'is required', 'REQUIRED');
  checks.json('metrics', input.metrics);
  checks.done();
  const found = await deps.modules.find(input.module);
  const merged = found && (await deps.modules.mergeMetrics(found.id, input.metrics ?? {}));
  if (merged === undefined) throw moduleNotFound(input.module);
  return merged;
}
