import { createHash } from 'node:crypto';
import { isId } from '@signet/kit/id.ts';
import type { Module, ModuleBackend } from './module.ts';

/** What one executor tells of its workers. */
export type BackendReport = {
  readonly executor: string;
  readonly workers: number;
  readonly modules: readonly BackendModule[];
};

/** What one executor tells of one module. */
export type BackendModule = {
  /** Empty for what only the allow-list knows. */
  readonly id: string;
  readonly name: string;
  /** The name on the allow-list; empty if there is none. */
  readonly pythonClass: string;
  readonly held: boolean;
  readonly running: number;
  readonly error: string;
};

/** A report as it was kept; what it says of modules is to be checked. */
export type ReportedBackend = {
  readonly executor: string;
  readonly workers: number;
  readonly modules: unknown;
  readonly ageMs: number;
  readonly reportTime: Date;
};

/** The workers' side of a read. */
export type BackendView = {
  readonly available: boolean;
  readonly partial: boolean;
  readonly reason: string;
  readonly ageMs: number;
  readonly workers: number;
  readonly executors: number;
};

/** What all executors say together. */
export type Backend = {
  readonly view: BackendView;
  /** By the id of a registered module. */
  readonly byId: ReadonlyMap<string, ModuleBackend>;
  /** By the name on the allow-list. */
  readonly byClass: ReadonlyMap<string, ModuleBackend>;
};

/** How old a report may be before it says nothing of now. */
export const reportFreshMs = 10_000;

/**
 * Sums up what executors told. Reports that are too old count for nothing but their age. A module is held if any executor's workers
 * hold it; runs add up.
 */
export function sumUpReports(reports: readonly ReportedBackend[]): Backend {
  const fresh = reports.filter(({ ageMs }) => ageMs <= reportFreshMs);
  const byId = new Map<string, ModuleBackend>();
  const byClass = new Map<string, ModuleBackend>();
  for (const { modules, reportTime } of fresh) {
    for (const module of readBackendModules(modules)) {
      const said = { ...module, registered: module.id !== '', reportTime };
      if (module.id !== '') add(byId, module.id, said);
      else if (module.pythonClass !== '') add(byClass, module.pythonClass, said);
    }
  }
  return { view: viewOf(reports, fresh), byId, byClass };
}

function viewOf(reports: readonly ReportedBackend[], fresh: readonly ReportedBackend[]): BackendView {
  const workers = fresh.reduce((sum, report) => sum + report.workers, 0);
  const ageMs = reports.length === 0 ? 0 : Math.min(...reports.map((report) => report.ageMs));
  const reason =
    reports.length === 0
      ? 'no executor has reported yet'
      : fresh.length === 0
        ? 'the last report of an executor is too old'
        : workers === 0
          ? 'no Python worker is ready'
          : '';
  return { available: workers > 0, partial: reason !== '', reason, ageMs, workers, executors: fresh.length };
}

function add(to: Map<string, ModuleBackend>, key: string, said: ModuleBackend): void {
  const before = to.get(key);
  to.set(key, {
    held: said.held || (before?.held ?? false),
    registered: said.registered,
    running: said.running + (before?.running ?? 0),
    reportTime: said.reportTime,
    error: said.held || before?.held ? '' : said.error || (before?.error ?? ''),
  });
}

/** Reads modules of a report that was kept: unknown keys are dropped, what is no module is left out. */
export function readBackendModules(kept: unknown): BackendModule[] {
  if (!Array.isArray(kept)) return [];
  return kept.flatMap((row: unknown): BackendModule[] => {
    if (typeof row !== 'object' || row === null) return [];
    const { id, name, pythonClass, held, running, error } = row as Partial<Record<keyof BackendModule, unknown>>;
    const texts = [id, name, pythonClass, error];
    if (!texts.every((text) => typeof text === 'string') || typeof held !== 'boolean' || typeof running !== 'number') {
      return [];
    }
    // What is asked for by id must be one.
    if (id !== '' && !isId(String(id))) return [];
    return [{ id, name, pythonClass, held, running, error } as BackendModule];
  });
}

/** What the workers hold of a registered module; of one that no report names, that nothing is held. */
export function backendOf(backend: Backend, module: Module): ModuleBackend {
  const known = backend.byId.get(module.id);
  if (known !== undefined) return { ...known, registered: true };
  const needsPython = module.implementation !== 'native';
  const error = needsPython ? backend.view.reason || 'no executor has reported it yet' : '';
  return { held: false, registered: true, running: 0, reportTime: undefined, error };
}

/** The id by which a module that only the allow-list knows is told apart: made of its name, always the same. */
export function idOfClass(pythonClass: string): string {
  const hex = createHash('sha256').update(`signet python module ${pythonClass}`).digest('hex');
  // The form of a UUIDv8: bits of one's own making.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
