import { systemClock } from '@signet/kit/clock.ts';
import { newId } from '@signet/kit/id.ts';
import { createBatchRetention } from './batch/retention.postgres.ts';
import { ResultCache } from './cache/result-cache.ts';
import { createCacheStore } from './cache/store.postgres.ts';
import { Catalog } from './catalog/catalog.ts';
import { LanguageModels } from './catalog/language-models.ts';
import { Modules } from './catalog/modules.ts';
import type { ExecutorConfig } from './config.ts';
import type { Engines } from './engine/choose-engine.ts';
import { Router } from './engine/router.ts';
import { createEvaluationRetention } from './evaluation/retention.postgres.ts';
import { createAggregateStore } from './execution/aggregate.postgres.ts';
import { createExecutionAudit } from './execution/audit.postgres.ts';
import { Backlog } from './execution/backlog.ts';
import { createIdempotencyStore } from './execution/idempotency.postgres.ts';
import { createLeaseStore } from './execution/lease.postgres.ts';
import { LiveExecutions } from './execution/live.ts';
import { createLmCallStore } from './execution/lm-call.postgres.ts';
import { createRecorderStore } from './execution/recorder.postgres.ts';
import { Recorder } from './execution/recorder.ts';
import { createExecutionRetention, createReplyRetention } from './execution/retention.postgres.ts';
import type { Retention } from './execution/retention.ts';
import { createExecutionStore } from './execution/store.postgres.ts';
import { PlanRefresher } from './native/plan-refresher.ts';
import type { Ground } from './open-ground.ts';
import { createJobReplyRetention, createJobRetention } from './optimization/retention.postgres.ts';
import type { Pipelines } from './pipeline/pipelines.ts';
import { Gate } from './runtime/gate.ts';
import { createRunInstruments } from './runtime/run-instruments.ts';
import { ShadowRunner } from './shadow/shadow-runner.ts';
import { createShadowStore } from './shadow/store.postgres.ts';

type Inner = Omit<Ground, 'peer'> & { readonly engines: Engines; readonly pipelines: Pipelines };

/** What use cases are given. */
export type ExecutorDeps = ReturnType<typeof makeDeps>;

/** Makes it on what the executor stands on. */
export function makeDeps(config: ExecutorConfig, inner: Inner) {
  const { log, telemetry, lmClient, database, recordDatabase, registry, engines, pipelines } = inner;
  const { lmAllowPrivate: allowPrivate, lm: environment } = config;
  const languageModels = new LanguageModels({ registry, allowPrivate, environment });
  const modules = new Modules({ registry });
  const owner = newId();
  const clock = systemClock;
  const live = new LiveExecutions();
  const leases = createLeaseStore(database, owner);
  const router = new Router({ engines });
  const shadows = createShadowStore(database);
  const lmCallStore = createLmCallStore(database);
  const { tracer, meter } = telemetry;
  const catalog = new Catalog({ registry, log, languageModels, modules });
  return {
    log,
    telemetry,
    clock,
    registry,
    engines,
    pipelines,
    router,
    cache: new ResultCache({ store: createCacheStore(database), meter: telemetry.meter, log }),
    live,
    leases,
    lmClient,
    languageModels,
    modules,
    owner,
    catalog,
    plans: new PlanRefresher({ registry, catalog, engines, log }),
    aggregates: createAggregateStore(database),
    gate: new Gate(config.attachedMax),
    backlog: new Backlog({ count: async () => (await leases.backlog()).pending, clock }, config.backlogMax),
    store: createExecutionStore(database),
    idempotency: createIdempotencyStore(database),
    lmCallStore,
    shadows,
    shadowRunner: new ShadowRunner({ store: shadows, lmCallStore, tracer, meter, log }),
    audit: createExecutionAudit(database),
    retentions: makeRetentions(database, config.retentionMs),
    recorder: new Recorder({ store: createRecorderStore(recordDatabase, owner), clock, log }),
    instruments: createRunInstruments(telemetry.meter, {
      inFlight: () => live.size,
      backlog: () => leases.backlog(),
      breakers: () => router.breakers(),
    }),
  };
}

// What refers to others goes first: then they may go too.
function makeRetentions(database: Ground['database'], ageMs: number | undefined): Retention[] {
  return [
    createReplyRetention(database),
    createJobReplyRetention(database),
    ...(ageMs === undefined
      ? []
      : [createJobRetention, createEvaluationRetention, createBatchRetention, createExecutionRetention].map((create) =>
          create(database, ageMs),
        )),
  ];
}
