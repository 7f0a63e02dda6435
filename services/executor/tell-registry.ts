import { WorkerState } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { type BackendSource, startBackendReports } from './catalog/report-backend.ts';
import { type ModuleSource, startReporting } from './catalog/report-modules.ts';
import type { ExecutorDeps } from './make-deps.ts';
import { queryModules } from './sidecar/query-modules.ts';
import type { SidecarPool } from './sidecar/sidecar-pool.ts';

/** Tells the registry what the workers of this executor know and hold, and what runs here; `pool` is undefined where there are none. */
export function tellRegistry(deps: ExecutorDeps, pool: SidecarPool | undefined): { close(): void } {
  const { registry, log, engines } = deps;
  const reporting = pool && startReporting({ source: moduleSource(pool), registry, log });
  const backendReports = startBackendReports(
    {
      source: pool && backendSource(pool),
      otherNames: () => reporting?.otherNames(),
      hasNative: engines.has('native'),
      running: () => deps.aggregates.runningModules(deps.owner),
      ...deps,
    },
    deps.owner,
  );
  return {
    close() {
      reporting?.close();
      backendReports.close();
    },
  };
}

function moduleSource(pool: SidecarPool): ModuleSource {
  return {
    ready: () => pool.ready(),
    moduleNames: () => pool.moduleNames(),
    describe: pool.supervisors.describe,
  };
}

function backendSource(pool: SidecarPool): BackendSource {
  return {
    workerCount: () => pool.workers().filter(({ state }) => state === WorkerState.WORKER_STATE_READY).length,
    modules: () => queryModules(pool.supervisors, { deadlineMs: Date.now() + 5_000 }),
  };
}
