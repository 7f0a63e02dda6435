import { systemClock } from '@signet/kit/clock.ts';
import { createGrpcPeer } from '@signet/kit/grpc/client.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { createTelemetry } from '@signet/kit/telemetry/telemetry.ts';
import { noTelemetry } from '@signet/kit/telemetry/telemetry-config.ts';
import { ResultCache } from '../cache/result-cache.ts';
import { createCacheStore } from '../cache/store.postgres.ts';
import { Catalog } from '../catalog/catalog.ts';
import { LanguageModels } from '../catalog/language-models.ts';
import { Modules } from '../catalog/modules.ts';
import type { FakeRegistry } from '../catalog/registry.fake.ts';
import { createRegistryClient, type RegistryClient } from '../catalog/registry.grpc.ts';
import { byIndexAlways, openDatabase } from '../db/pool.ts';
import { createMockEngine, type MockEngine } from '../engine/mock.ts';
import { Router } from '../engine/router.ts';
import { DetachedRunner } from '../execution/detached-runner.ts';
import { Housekeeper } from '../execution/housekeeper.ts';
import { createIdempotencyStore } from '../execution/idempotency.postgres.ts';
import { createLeaseStore } from '../execution/lease.postgres.ts';
import { LiveExecutions } from '../execution/live.ts';
import { createLmCallStore } from '../execution/lm-call.postgres.ts';
import { createRecorderStore } from '../execution/recorder.postgres.ts';
import { Recorder } from '../execution/recorder.ts';
import { createExecutionStore } from '../execution/store.postgres.ts';
import { PlanRefresher } from '../native/plan-refresher.ts';
import { createPipelines, type Pipelines } from '../pipeline/pipelines.ts';
import { createRunInstruments } from '../runtime/run-instruments.ts';
import type { OwnedDeps } from '../runtime/run-owned.ts';
import { ShadowRunner } from '../shadow/shadow-runner.ts';
import { createShadowStore } from '../shadow/store.postgres.ts';
import { internalToken } from './executor.ts';

/** What one process has of its own to run executions, without a door. */
export type TestProcess = OwnedDeps & {
  readonly mock: MockEngine;
  readonly registry: RegistryClient;
  readonly housekeeper: Housekeeper;
  readonly runner: DetachedRunner;
  close(): Promise<void>;
};

/** Makes the insides of one executor on the mock engine; several can share a database and a registry. Nothing of it works by itself. */
export function createTestProcess(databaseUrl: string, fake: FakeRegistry): TestProcess {
  const log = createLogger('executor', 'silent');
  const telemetry = createTelemetry('test', noTelemetry);
  const { tracer, meter } = telemetry;
  const database = openDatabase({ log }, databaseUrl, { connectionMax: 5 });
  const records = openDatabase({ log }, databaseUrl, { connectionMax: 2, settings: byIndexAlways });
  const peer = createGrpcPeer({ telemetry, internalToken, peer: 'registry', address: fake.address });
  const registry = createRegistryClient(peer);
  const mock = createMockEngine();
  const engines = new Map([['mock' as const, mock]]);
  const owner = newId();
  const clock = systemClock;
  const live = new LiveExecutions();
  const leases = createLeaseStore(database, owner);
  const languageModels = new LanguageModels({ registry, allowPrivate: true, environment: undefined });
  const catalog = new Catalog({ registry, log, languageModels, modules: new Modules({ registry }) });
  const lmCallStore = createLmCallStore(database);
  const cache = new ResultCache({ store: createCacheStore(database), meter, log });
  const pipelines: Pipelines = createPipelines(() => {
    throw new Error('no pipelines here');
  });
  const deps = {
    pipelines: { ...pipelines, planClaimed: async () => undefined },
    ...{ log, telemetry, clock, registry, engines, live, leases, languageModels, catalog, lmCallStore, cache },
    router: new Router({ engines }),
    plans: new PlanRefresher({ registry, catalog, engines, log }),
    store: createExecutionStore(database),
    idempotency: createIdempotencyStore(database),
    retentions: [],
    shadowRunner: new ShadowRunner({ store: createShadowStore(database), lmCallStore, tracer, meter, log }),
    recorder: new Recorder({ store: createRecorderStore(records, owner), clock, log }),
    instruments: createRunInstruments(meter, {
      inFlight: () => live.size,
      backlog: () => leases.backlog(),
      breakers: () => [],
    }),
  };
  const runner = new DetachedRunner(deps, 8);
  return {
    ...deps,
    mock,
    runner,
    housekeeper: new Housekeeper(deps),
    async close() {
      await runner.close(0);
      await deps.recorder.drain();
      await Promise.all([cache.close(), deps.plans.close(), deps.shadowRunner.close(), catalog.close()]);
      peer.close();
      await Promise.all([database.close(), records.close()]);
    },
  };
}
