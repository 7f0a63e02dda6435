import { AppError } from '@signet/kit/error/app-error.ts';
import { beginOptimized } from '../program/begin-optimized.ts';
import { insertProgram, type ProgramDeps } from '../program/create-program.ts';
import type { AdapterType, Program } from '../program/program.ts';
import { deriveSlug } from '../program/slug.ts';
import { type Module, type ModuleImplementation, moduleNotFound } from './module.ts';

/** The adapter type by which a module of an implementation is served. */
export const adapterOf: Readonly<Record<ModuleImplementation, AdapterType>> = {
  python: 'python_port',
  native: 'native',
  // Python first or native first is for the routing to say; python_port allows both.
  hybrid: 'python_port',
};

/**
 * Finds or makes the one program by which a module of its present generation runs, with its signature as it is then; one of a former
 * generation is archived. A program in ERROR is reset, so that it is tried anew. Fails with MODULE_NOT_FOUND, and with MODULE_INVALID for
 * a module without a signature.
 */
export async function ensureModuleProgram(
  deps: ProgramDeps,
  input: { readonly module: string; readonly mock: boolean },
): Promise<Program> {
  const seen = await deps.modules.find(input.module);
  if (seen === undefined) throw moduleNotFound(input.module);
  // A transition holds the program and then its module, so the program is what we look for first.
  const found = await deps.programs.lockQuick(keyOf(seen, input.mock));
  if (found !== undefined) return found.status === 'error' ? deps.programs.backToDraft(found) : found;
  return makeProgram(deps, input);
}

async function makeProgram(
  deps: ProgramDeps,
  input: { readonly module: string; readonly mock: boolean },
): Promise<Program> {
  // Callers of one module wait here for each other, so whoever comes second finds the first one's program.
  const module = await deps.modules.lock(input.module);
  if (module === undefined) throw moduleNotFound(input.module);
  const quickKey = keyOf(module, input.mock);
  const made = await deps.programs.findQuick(quickKey);
  if (made !== undefined) return made;
  const signature = module.signatureId ? await deps.signatures.find(module.signatureId) : undefined;
  if (signature === undefined) {
    throw new AppError('MODULE_INVALID', `The module \`${module.name}\` has no signature`, {
      metadata: { module: module.name, field: 'signature' },
    });
  }
  const adapterType = adapterFor(module, input.mock);
  await deps.programs.archiveOfModule(module.id, adapterType);
  const { configuration, demos } = module;
  const program = {
    slug: await deps.programs.nextSlug(deriveSlug(`module ${module.name}`)),
    name: `Module - ${module.name}`,
    description: module.description,
    adapterType,
    signature,
    signatureModule: signature.module,
    variables: {},
    labels: {},
    quickKey,
    moduleId: module.id,
  };
  return insertProgram(deps, program, { ...beginOptimized({ signature, configuration, demos }), source: 'create' });
}

function adapterFor({ implementation }: Module, mock: boolean): AdapterType {
  return mock ? 'mock' : adapterOf[implementation];
}

function keyOf(module: Module, mock: boolean): string {
  return `module:${module.id}:${adapterFor(module, mock)}:${module.generation}`;
}
