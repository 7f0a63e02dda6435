import type { ModuleNames } from '../program/check-module.ts';
import type { SignatureStore } from '../signature/store.postgres.ts';
import type { ModuleStore } from './store.postgres.ts';

/** Looks up what a configuration names as its module: in the workers' allow-list as it was reported, and among registered modules. */
export function moduleNames(deps: { readonly signatures: SignatureStore; readonly modules: ModuleStore }): ModuleNames {
  return {
    isAllowed: async (name) => (await deps.signatures.reportedModule(name)) !== undefined,
    async findModule(name) {
      const found = await deps.modules.find(name);
      if (found === undefined) return undefined;
      const { id, configuration } = found;
      return { id, name: found.name, module: configuration.module, moduleConfig: configuration.moduleConfig ?? {} };
    },
  };
}
