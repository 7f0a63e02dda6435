import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { requireLanguageModel } from '../language-model/read-language-models.ts';
import type { GivenConfiguration } from '../program/check-configuration.ts';
import { chooseSignature, type ProgramDeps } from '../program/create-program.ts';
import type { Signature } from '../signature/signature.ts';
import { type Module, moduleNotFound } from './module.ts';
import { checkLabel, checkModuleSettings, demosFor, type ModuleSettingsInput } from './register-module.ts';
import type { ModuleChanges } from './store.postgres.ts';

/** The fields of a module that an update may change. */
export type ModuleField =
  | 'name'
  | 'type'
  | 'implementation'
  | 'signature'
  | 'config'
  | 'configuration'
  | 'python_module'
  | 'native_module'
  | 'routing_strategy'
  | 'cache_ttl'
  | 'optimization_hints'
  | 'description'
  | 'labels';

const fields: MaskFields<ModuleField> = {
  settable: [
    'name',
    'type',
    'implementation',
    'signature',
    'config',
    'configuration',
    'python_module',
    'native_module',
    'routing_strategy',
    'cache_ttl',
    'optimization_hints',
    'description',
    'labels',
  ],
  outputOnly: [
    'id',
    'state',
    'signature_id',
    'signature_module',
    'performance_metrics',
    'in_flight',
    'error_message',
    'backend',
    'create_time',
    'update_time',
  ],
};

// What decides how it runs: a program that was made for the former has to be made anew.
const decisive: readonly ModuleField[] = [
  'implementation',
  'signature',
  'configuration',
  'python_module',
  'native_module',
];

/** Changes of a module; `set` are the fields that stand in the request. */
export type UpdateModuleInput = ModuleSettingsInput & {
  readonly module: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly ModuleField[];
  readonly name: string;
  readonly signature: string;
};

/**
 * Changes a module. What decides how it runs makes it UNINITIALIZED again, unless it is executing by events. Fails with MODULE_NOT_FOUND,
 * ETAG_MISMATCH, NAME_TAKEN, INVALID_REQUEST, MODULE_INVALID, SIGNATURE_NOT_FOUND, SIGNATURE_DEPRECATED and LM_NOT_FOUND.
 */
export async function updateModule(deps: ProgramDeps, input: UpdateModuleInput): Promise<Module> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const module = await deps.modules.lock(input.module);
  if (module === undefined) throw moduleNotFound(input.module);
  requireEtag(module, input.etag);
  if (named.size === 0) return module;
  const checks = new FieldChecks();
  if (named.has('name')) checkLabel(input.name, checks);
  const settings = await checkModuleSettings(deps, merged(module, input, named), checks);
  checks.done();
  await requireLanguageModel(deps, settings.configuration.lm, 'configuration.lm');
  const signature = await signatureOf(deps, module, input, named);
  const isDecisive = decisive.some((field) => named.has(field));
  const changes: ModuleChanges = {
    ...settings,
    ...(named.has('name') ? { name: input.name } : {}),
    // What stays was checked when it came; only a new configuration brings demos.
    ...(named.has('configuration') ? { demos: demosFor(signature, input.configuration, checks) } : {}),
    signatureId: signature?.id ?? null,
    signatureModule: signature?.module ?? '',
    ...(isDecisive ? { generation: module.generation + 1 } : {}),
    ...(isDecisive && module.state !== 'executing' ? { state: 'uninitialized' as const, errorMessage: '' } : {}),
  };
  return deps.modules.change(module, changes);
}

async function signatureOf(
  deps: ProgramDeps,
  module: Module,
  input: UpdateModuleInput,
  named: ReadonlySet<ModuleField>,
): Promise<Signature | undefined> {
  if (!named.has('signature')) return module.signatureId ? deps.signatures.find(module.signatureId) : undefined;
  if (input.signature === '') return undefined;
  return chooseSignature(deps, { signature: input.signature, signatureSpec: '', signatureModule: '' });
}

/** The settings as they would be: what the mask names from the request, the rest as it is. */
function merged(module: Module, input: UpdateModuleInput, named: ReadonlySet<ModuleField>): ModuleSettingsInput {
  const pick = <Name extends keyof ModuleSettingsInput>(
    field: ModuleField,
    name: Name,
    kept: ModuleSettingsInput[Name],
  ): ModuleSettingsInput[Name] => (named.has(field) ? input[name] : kept);
  // The kind follows from the modules that are named; only a configuration that was just given may speak of it.
  const kept: GivenConfiguration = {
    ...module.configuration,
    moduleConfig: module.configuration.moduleConfig,
    module: '',
    modules: [],
    demos: [],
  };
  const configuration = pick('configuration', 'configuration', kept);
  return {
    type: pick('type', 'type', module.type),
    implementation: pick('implementation', 'implementation', module.implementation),
    config: pick('config', 'config', module.config),
    configuration,
    pythonModule: pick('python_module', 'pythonModule', module.pythonModule),
    nativeModule: pick('native_module', 'nativeModule', module.nativeModule),
    routingStrategy: pick('routing_strategy', 'routingStrategy', module.routingStrategy),
    cacheTtl: named.has('cache_ttl') ? input.cacheTtl : module.cacheTtl,
    optimizationHints: pick('optimization_hints', 'optimizationHints', module.optimizationHints),
    description: pick('description', 'description', module.description),
    labels: pick('labels', 'labels', module.labels),
  };
}
