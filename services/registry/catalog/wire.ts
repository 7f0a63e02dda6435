import type { Principal } from '@signet/kit/call-context.ts';
import type {
  CatalogChange,
  ModuleSettings as WireModuleSettings,
  Principal as WirePrincipal,
  ResolvedProgram as WireResolved,
  ResolvedLanguageModel as WireResolvedModel,
  ResolvedModule as WireResolvedModule,
} from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { wireRoles } from '../api-key/wire.ts';
import { toWireLanguageModel } from '../language-model/wire.ts';
import { wireImplementations, wireModuleStates, wireStrategies } from '../module/wire.ts';
import { toWireServingPolicy } from '../program/serving-policy-wire.ts';
import { toWireConfiguration, toWirePreparation, wireAdapters, wireStatuses } from '../program/wire.ts';
import { toWireSignature } from '../signature/wire.ts';
import type { ModuleSettings, ResolvedLanguageModel, ResolvedModule, ResolvedProgram } from './catalog.ts';
import type { CatalogEvent } from './watch-catalog.ts';

/** Writes a program with what is needed to run it; demos as JSON, so that no digit is lost. */
export function toWireResolved(resolved: ResolvedProgram): WireResolved {
  return {
    programId: resolved.programId,
    slug: resolved.slug,
    name: resolved.name,
    status: wireStatuses[resolved.status],
    errorMessage: resolved.errorMessage,
    adapterType: wireAdapters[resolved.adapterType],
    version: resolved.version,
    servingVersion: resolved.servingVersion,
    signature: toWireSignature(resolved.signature),
    configuration: toWireConfiguration(innerConfiguration(resolved.configuration), resolved.demos, 'json'),
    preparation: toWirePreparation(resolved.preparation, 'json'),
    dspyState: Buffer.from(resolved.dspyState),
    servingPolicy: toWireServingPolicy(resolved.servingPolicy),
    hasServed: resolved.hasServed,
    deleted: resolved.deleted,
    revision: BigInt(resolved.revision),
    moduleSettings: resolved.moduleSettings && toWireSettings(resolved.moduleSettings),
    pipelineJson: Buffer.from(resolved.pipeline),
  };
}

// Engines know kinds of modules, not the names that were registered: what a name stood for is pinned in the version.
function innerConfiguration(configuration: ResolvedProgram['configuration']): ResolvedProgram['configuration'] {
  const { registered } = configuration;
  if (registered === undefined) return configuration;
  return { ...configuration, module: registered.module, moduleConfig: registered.moduleConfig };
}

function toWireSettings(settings: ModuleSettings): WireModuleSettings {
  return {
    id: settings.id,
    name: settings.name,
    implementation: wireImplementations[settings.implementation],
    routingStrategy: wireStrategies[settings.routingStrategy],
    cacheTtlS: BigInt(settings.cacheTtlS),
  };
}

/** Writes a module as executors know it. */
export function toWireResolvedModule(module: ResolvedModule): WireResolvedModule {
  return {
    settings: toWireSettings(module.settings),
    state: wireModuleStates[module.state],
    errorMessage: module.errorMessage,
    deleted: module.deleted,
    executable: module.executable,
    generation: BigInt(module.generation),
    revision: BigInt(module.revision),
    pythonClass: module.pythonClass,
  };
}

/** Writes a language model with its credential. */
export function toWireResolvedModel(resolved: ResolvedLanguageModel): WireResolvedModel {
  const { languageModel, credential, credentialFault, deleted, revision } = resolved;
  return {
    languageModel: toWireLanguageModel(languageModel),
    ...{ credential, credentialFault, deleted },
    revision: BigInt(revision),
  };
}

/** Writes a message of a watch. */
export function toWireChange(event: CatalogEvent): CatalogChange {
  const { revision } = event;
  if (event.kind === 'synced') return { revision, change: { $case: 'synced', value: {} } };
  if (event.kind === 'module')
    return { revision, change: { $case: 'module', value: toWireResolvedModule(event.module) } };
  if (event.kind === 'language_model') {
    return { revision, change: { $case: 'languageModel', value: toWireResolvedModel(event.languageModel) } };
  }
  return { revision, change: { $case: 'program', value: toWireResolved(event.program) } };
}

/** Writes whose key it is. */
export function toWirePrincipal(principal: Principal & { readonly expireTime: Date | undefined }): WirePrincipal {
  const { keyId, name, role, expireTime } = principal;
  return { keyId, name, role: wireRoles[role], expireTime };
}
