import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import type { Modules } from './modules.ts';
import type { RegistryClient, ReportBackendRequest } from './registry.grpc.ts';

type BackendModule = ReportBackendRequest['modules'][number];

/** What the workers of this executor are, as far as a report needs it. */
export type BackendSource = {
  /** Workers that are ready now. */
  workerCount(): number;
  /** The modules of the allow-list, as a sidecar tells at this moment. */
  modules(): Promise<readonly { readonly name: string; readonly held: boolean }[]>;
};

/** What reporting needs. */
export type BackendDeps = {
  /** Undefined where this executor has no workers at all. */
  readonly source: BackendSource | undefined;
  readonly modules: Modules;
  readonly registry: Pick<RegistryClient, 'reportBackend'>;
  /** The names of the allow-list that stand for no modules; undefined until somebody has looked. */
  readonly otherNames: () => ReadonlySet<string> | undefined;
  readonly hasNative: boolean;
  /** How many executions of each registered module this process runs now. */
  readonly running: () => Promise<ReadonlyMap<string, number>>;
  readonly log: Logger;
};

const lookMs = 500;
// A report that is older than 10 s counts for nothing.
const repeatMs = 3_000;
const modulesMax = 1_000;

/** Tells the registry what this executor's workers hold and what it runs: at each change, and every 3 s in any case. */
export function startBackendReports(deps: BackendDeps, executor: string): { close(): void } {
  const stop = new AbortController();
  let told = '';
  let toldMs = Number.NEGATIVE_INFINITY;
  let isBusy = false;
  const look = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    try {
      const report = await makeReport(deps, executor);
      const text = JSON.stringify(report);
      if (text === told && performance.now() - toldMs < repeatMs) return;
      await deps.registry.reportBackend(report, stop.signal);
      told = text;
      toldMs = performance.now();
    } catch (error) {
      deps.log.debug({ reason: normalizeError(error).reason }, 'could not report the backend');
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(() => void look(), lookMs);
  timer.unref();
  return {
    close() {
      clearInterval(timer);
      stop.abort();
    },
  };
}

async function makeReport(deps: BackendDeps, executor: string): Promise<ReportBackendRequest> {
  const { workers, names } = await lookAtWorkers(deps.source);
  const known = deps.modules.all();
  const running = known.length === 0 ? new Map<string, number>() : await deps.running();
  const registered = known.map(({ settings, pythonClass }): BackendModule => {
    const { id, name, implementation } = settings;
    const error = implementation === 'native' ? nativeFault(deps) : pythonFault(workers, names, pythonClass);
    return { id, name, pythonClass, held: error === '', running: running.get(id) ?? 0, error };
  });
  const taken = new Set(known.map(({ pythonClass }) => pythonClass));
  const others = deps.otherNames();
  const guests = names
    .filter((name) => others !== undefined && !taken.has(name) && !others.has(name))
    .map((name): BackendModule => {
      const error = pythonFault(workers, names, name);
      return { id: '', name, pythonClass: name, held: error === '', running: 0, error };
    });
  return { executor, workers, modules: [...registered, ...guests].slice(0, modulesMax) };
}

// What the native side does and what runs is told also while Python is away.
async function lookAtWorkers(
  source: BackendSource | undefined,
): Promise<{ readonly workers: number; readonly names: readonly string[] }> {
  const workers = source?.workerCount() ?? 0;
  if (source === undefined || workers === 0) return { workers: 0, names: [] };
  try {
    return { workers, names: (await source.modules()).map(({ name }) => name) };
  } catch (error) {
    if (normalizeError(error).reason !== 'ENGINE_UNAVAILABLE') throw error;
    return { workers: 0, names: [] };
  }
}

function nativeFault({ hasNative }: BackendDeps): string {
  return hasNative ? '' : 'the native engine is not available';
}

function pythonFault(workers: number, names: readonly string[], pythonClass: string): string {
  if (workers === 0) return 'no Python worker is ready';
  if (pythonClass !== '' && !names.includes(pythonClass)) return `\`${pythonClass}\` is not on the workers' allow-list`;
  return '';
}
