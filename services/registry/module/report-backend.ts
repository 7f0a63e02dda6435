import { isId } from '@signet/kit/id.ts';
import { FieldChecks } from '../check/field-checks.ts';
import type { BackendModule, BackendReport } from './backend.ts';
import type { ModuleStore } from './store.postgres.ts';

const modulesMax = 1000;

/** Replaces what an executor told of its workers. INVALID_REQUEST for what no executor can say. */
export async function reportBackend(deps: { readonly modules: ModuleStore }, report: BackendReport): Promise<void> {
  const checks = new FieldChecks();
  checks.text('executor', report.executor, { max: 100, required: true, oneLine: true });
  if (report.workers < 0) checks.add('workers', 'must not be negative');
  if (report.modules.length > modulesMax) checks.add('modules', `must have at most ${modulesMax} entries`, 'TOO_MANY');
  checks.done();
  await deps.modules.putReport({ ...report, modules: report.modules.map(storable) });
}

// What it says comes from somebody's Python in part: texts are cut, and cleaned of what cannot be stored.
function storable(module: BackendModule): BackendModule {
  const clean = (text: string, max: number): string => text.toWellFormed().replaceAll('\0', '').slice(0, max);
  return {
    id: isId(module.id) ? module.id : '',
    name: clean(module.name, 255),
    pythonClass: clean(module.pythonClass, 255),
    held: module.held,
    running: Math.max(module.running, 0),
    error: clean(module.error, 2000),
  };
}
