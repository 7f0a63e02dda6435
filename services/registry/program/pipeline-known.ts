import { type Known, type KnownModule, pythonDefaults, type StepFields } from '@signet/pipeline/known.ts';
import { namesIn } from '@signet/pipeline/spec-names.ts';
import { resultFields } from '@signet/pipeline/told-fields.ts';
import type { JsonValue } from '@signet/signature/json.ts';
import { isModuleName } from '@signet/signature/module-name.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';
import type { LanguageModelStore } from '../language-model/store.postgres.ts';
import type { Module } from '../module/module.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import { readSpec } from '../signature/signature.ts';
import type { SignatureStore } from '../signature/store.postgres.ts';

/** Where names of a pipeline are looked up. */
export type PipelineDeps = {
  readonly modules: ModuleStore;
  readonly signatures: SignatureStore;
  readonly languageModels: LanguageModelStore;
  /** The names of the functions that steps may call. */
  readonly functionNames: ReadonlySet<string>;
};

/** Looks up all that a pipeline's spec may mean as a name. */
export async function lookUpNames(deps: PipelineDeps, spec: JsonValue, given: readonly Module[]): Promise<Known> {
  const names = namesIn(spec);
  const modules = await knownModules(deps, names.modules, given);
  const signatures = new Map<string, SignatureSpec>();
  for (const named of names.signatures) {
    const found = await deps.signatures.find(named);
    if (found !== undefined) signatures.set(named, readSpec(found.spec, found.mlTypes));
  }
  const languageModels = new Set<string>();
  for (const named of names.languageModels) {
    if ((await deps.languageModels.find(named)) !== undefined) languageModels.add(named);
  }
  const python = new Set(pythonDefaults);
  for (const named of names.modules) {
    if (!modules.has(named) && isModuleName(named) && (await deps.signatures.reportedModule(named)) !== undefined)
      python.add(named);
  }
  return {
    isTrusting: false,
    module: (named) => modules.get(named),
    isPython: (name) => python.has(name),
    isFunction: (name) => deps.functionNames.has(name),
    signature: (named) => signatures.get(named),
    isLanguageModel: (slug) => languageModels.has(slug),
    moduleNames: names.modules.every((named) => modules.has(named)) ? [] : await deps.modules.names(),
    functionNames: [...deps.functionNames],
    pythonNames: [...python],
  };
}

async function knownModules(
  deps: PipelineDeps,
  names: readonly string[],
  given: readonly Module[],
): Promise<ReadonlyMap<string, KnownModule>> {
  const known = new Map<string, KnownModule>();
  for (const module of [...given, ...(await deps.modules.findAll(names))]) {
    const { id, name, type } = module;
    if (known.has(id)) continue;
    const found = { id, name, type, fields: await fieldsOf(deps, module) };
    known.set(id, found);
    known.set(name, found);
  }
  return known;
}

async function fieldsOf(deps: PipelineDeps, module: Module): Promise<StepFields | undefined> {
  const signature = module.signatureId ? await deps.signatures.find(module.signatureId) : undefined;
  if (signature === undefined) return undefined;
  const { inputs, outputs } = readSpec(signature.spec, signature.mlTypes);
  return { inputs, outputs: resultFields(module.configuration.module, outputs) };
}
