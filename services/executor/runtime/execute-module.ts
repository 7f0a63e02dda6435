import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { KnownModule, ModuleSettings } from '../catalog/known-module.ts';
import type { Modules } from '../catalog/modules.ts';
import { compileProgram } from '../catalog/served-program.ts';
import { type AdapterType, chooseEngine, requireEngine } from '../engine/choose-engine.ts';
import { checkRequestId, type ExecuteInput } from './call-input.ts';
import { type ExecuteResult, executeProgram } from './execute-program.ts';
import { makeReady, type QuickDeps } from './quick-execute.ts';

/** What running modules needs. */
export type ModuleDeps = QuickDeps & { readonly modules: Modules };

/** One run of a module that is asked for, by id or name. */
export type ModuleInput = Omit<ExecuteInput, 'program'> & { readonly module: string };

/**
 * Runs a module once and waits: the program behind it is found or made, prepared if nobody has, and run. On the mock engine its backend
 * and its state count for nothing. Fails with MODULE_NOT_FOUND, MODULE_INVALID, STATE_FORBIDS, and as executeProgram does.
 */
export async function executeModule(deps: ModuleDeps, input: ModuleInput, ctx: CallContext): Promise<ExecuteResult> {
  checkRequestId(input.requestId);
  const { module: _, ...rest } = input;
  const program = await findModuleProgram(deps, input, ctx);
  return executeProgram(deps, { ...rest, program }, ctx, `ExecuteModule ${input.module}`);
}

/** The program by which a module runs, READY. */
export async function findModuleProgram(
  deps: ModuleDeps,
  { module: named, options }: Pick<ModuleInput, 'module' | 'options'>,
  ctx: LookupContext,
): Promise<string> {
  const isMock = options.engine === 'mock';
  const module = await findServing(deps, named, isMock, ctx);
  const { id, name, implementation } = module.settings;
  if (!isMock) requireEngine(deps.engines, chooseEngine(adapterTypes[implementation], options.engine));
  const key = `${id}/${module.generation}/${isMock}`;
  const known = programs.get(deps.modules)?.get(key);
  if (known !== undefined && deps.catalog.peek(known) !== undefined) return known;
  const resolved = await deps.registry.ensureModuleProgram(id, isMock, ctx);
  if (compileProgram(resolved).state !== 'ready') await makeReady(deps, resolved, ctx);
  else deps.catalog.learn(resolved);
  const program = await deps.catalog.resolve(resolved.programId, 0, ctx);
  if (program.state === 'error') {
    throw new AppError('MODULE_INVALID', `The module \`${name}\` could not be prepared: ${program.errorMessage}`, {
      metadata: { module: name },
    });
  }
  remember(deps.modules, key, program.id);
  return program.id;
}

const adapterTypes: Readonly<Record<ModuleSettings['implementation'], AdapterType>> = {
  python: 'python_port',
  native: 'native',
  hybrid: 'python_port',
};

/** A module that may be executed now; what memory says against it is confirmed by the registry before anybody is refused. */
async function findServing(deps: ModuleDeps, named: string, isMock: boolean, ctx: LookupContext): Promise<KnownModule> {
  const known = deps.modules.peek(named);
  const isServing = known?.isExecutable === true && (isMock || known.state !== 'error');
  const module = isServing ? known : await deps.modules.resolve(named, ctx);
  const { name } = module.settings;
  if (!module.isExecutable) {
    throw new AppError('MODULE_INVALID', `The module \`${name}\` has no signature`, { metadata: { module: name } });
  }
  if (module.state === 'error' && !isMock) {
    throw new AppError('STATE_FORBIDS', 'Cannot start_execution module in state error', {
      metadata: { state: 'error', event: 'start_execution', module: name },
    });
  }
  return module;
}

// Which program serves which generation of a module never changes, so it is asked for once.
const programs = new WeakMap<Modules, Map<string, string>>();
const programsMax = 10_000;

function remember(modules: Modules, key: string, program: string): void {
  const known = programs.get(modules) ?? new Map<string, string>();
  if (known.size >= programsMax) known.clear();
  known.set(key, program);
  programs.set(modules, known);
}
