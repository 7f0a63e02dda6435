import { AppError } from '@signet/kit/error/app-error.ts';
import type { LookupContext } from './catalog.ts';
import { type KnownModule, knownModuleOf } from './known-module.ts';
import type { RegistryClient, ResolvedModule } from './registry.grpc.ts';

/** What knowing modules needs. */
export type ModulesDeps = { readonly registry: Pick<RegistryClient, 'resolveModule'> };

/** The registered modules, as the registry tells of them: what it told last is known here within a moment. */
export class Modules {
  private readonly deps: ModulesDeps;
  private readonly byId = new Map<string, KnownModule>();
  private readonly idByName = new Map<string, string>();
  private listener: ((module: KnownModule) => void) | undefined;

  constructor(deps: ModulesDeps) {
    this.deps = deps;
  }

  /** Calls back with each module that was told of or changed. */
  listen(listener: (module: KnownModule) => void): void {
    this.listener = listener;
    for (const module of this.byId.values()) listener(module);
  }

  /** A module that is not deleted, by id or name, out of memory. */
  peek(named: string): KnownModule | undefined {
    const known = this.byId.get(this.idByName.get(named) ?? named);
    return known === undefined || known.isDeleted ? undefined : known;
  }

  /** All modules that are not deleted. */
  all(): KnownModule[] {
    return [...this.byId.values()].filter(({ isDeleted }) => !isDeleted);
  }

  /** A module as the registry has it at this moment. Fails with MODULE_NOT_FOUND. */
  async resolve(named: string, ctx: LookupContext): Promise<KnownModule> {
    const resolved = await this.deps.registry.resolveModule(named, ctx);
    this.apply(resolved);
    const known = knownModuleOf(resolved);
    if (known === undefined || known.isDeleted) throw moduleNotFound(named);
    return known;
  }

  /** The id of a module, of a deleted one too if it is named by its id. Fails with MODULE_NOT_FOUND. */
  async idOf(named: string, ctx: LookupContext): Promise<string> {
    const known = this.byId.get(this.idByName.get(named) ?? named);
    if (known !== undefined) return known.settings.id;
    const resolved = await this.deps.registry.resolveModule(named, ctx);
    this.apply(resolved);
    return resolved.settings?.id ?? '';
  }

  /** Takes in what the registry told. */
  apply(resolved: ResolvedModule): void {
    const known = knownModuleOf(resolved);
    if (known === undefined) return;
    const { id, name } = known.settings;
    const before = this.byId.get(id);
    if (before !== undefined && before.revision > known.revision) return;
    if (before !== undefined && this.idByName.get(before.settings.name) === id)
      this.idByName.delete(before.settings.name);
    this.byId.set(id, known);
    if (!known.isDeleted) this.idByName.set(name, id);
    this.listener?.(known);
  }
}

/** The error for a module that is not there. */
export function moduleNotFound(named: string): AppError {
  const resource = named.slice(0, 130).toWellFormed().replaceAll('\0', '');
  return new AppError('MODULE_NOT_FOUND', `There is no module \`${resource}\``, { metadata: { resource } });
}
