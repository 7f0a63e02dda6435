import { isStorableText } from '@signet/signature/json.ts';
import { isModuleName } from '@signet/signature/module-name.ts';
import { FieldChecks } from '../check/field-checks.ts';
import type { ReportedModule } from './signature.ts';
import type { SignatureStore } from './store.postgres.ts';

const modulesMax = 1000;

/** Replaces what was reported of the workers' signature modules. INVALID_REQUEST for names that no module can have. */
export async function reportModules(
  deps: { readonly signatures: SignatureStore },
  modules: readonly ReportedModule[],
): Promise<void> {
  const checks = new FieldChecks();
  if (modules.length > modulesMax) checks.add('modules', `must have at most ${modulesMax} entries`, 'TOO_MANY');
  for (const [index, { name }] of modules.slice(0, modulesMax).entries()) {
    if (!isModuleName(name)) checks.add(`modules[${index}].name`, 'Module must be a valid module name');
  }
  checks.done();
  const byName = new Map(modules.map((module) => [module.name, storable(module)]));
  await deps.signatures.replaceReportedModules([...byName.values()]);
}

// What a worker says comes from somebody's Python: a text that cannot be stored makes the module unreadable, not the report.
function storable(module: ReportedModule): ReportedModule {
  const { name, spec, description, error } = module;
  if (![spec, description, error].every(isStorableText)) {
    return { name, spec: '', description: '', error: 'what it declares holds characters that cannot be stored' };
  }
  return {
    name,
    spec: spec.slice(0, 16_384),
    description: description.slice(0, 10_000),
    error: error.slice(0, 4000) || (spec === '' ? 'it declares no fields' : ''),
  };
}
