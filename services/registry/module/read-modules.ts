import { invalidField } from '@signet/kit/error/app-error.ts';
import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { type BackendView, backendOf, sumUpReports } from './backend.ts';
import { type ModuleView, moduleNotFound } from './module.ts';
import type { ModuleStore } from './store.postgres.ts';

type Deps = { readonly modules: ModuleStore };

/** Asks for a page of modules. */
export type ListModulesInput = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
  readonly name: string;
  readonly includeBackend: boolean;
  readonly skip: number;
};

/** A page of modules, and the workers' side where it was asked for. */
export type ModulePage = { readonly page: Page<ModuleView>; readonly view: BackendView | undefined };

const skipMax = 10_000;

/** Reads a module by id or name; one whose executions run now is EXECUTING. MODULE_NOT_FOUND. */
export async function getModule(
  deps: Deps,
  input: { readonly module: string; readonly includeBackend: boolean },
): Promise<ModuleView> {
  const found = await deps.modules.find(input.module);
  if (found === undefined) throw moduleNotFound(input.module);
  const backend = sumUpReports(await deps.modules.reports());
  const isRunning = (backend.byId.get(found.id)?.running ?? 0) > 0;
  const module = found.state === 'ready' && isRunning ? { ...found, state: 'executing' as const } : found;
  return { module, backend: input.includeBackend ? backendOf(backend, found) : undefined };
}

/** Reads a page of modules, what only the workers know merged in if asked. INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export async function listModules(deps: Deps, input: ListModulesInput): Promise<ModulePage> {
  if (input.skip < 0 || input.skip > skipMax) throw invalidField('skip', `must be from 0 to ${skipMax}`);
  const size = pageSize(input.pageSize);
  const backend = sumUpReports(await deps.modules.reports());
  const page = await deps.modules.list({ ...input, pageSize: size, backend, merge: input.includeBackend });
  return { page, view: input.includeBackend ? backend.view : undefined };
}

/** What lists of modules can do; what is not named is not there. */
export const moduleCapabilities: Readonly<Record<string, boolean>> = {
  read: true,
  create: true,
  update: true,
  destroy: true,
  sort: true,
  filter: true,
  limit: true,
  offset: true,
  aggregate: true,
  calculate: true,
  multitenancy: false,
};
