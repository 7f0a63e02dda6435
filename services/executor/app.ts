import { systemClock } from '@signet/kit/clock.ts';
import { formatAddresses } from '@signet/kit/config/env.ts';
import { createGrpcPeer } from '@signet/kit/grpc/client.ts';
import { createGrpcServer, type GrpcServer } from '@signet/kit/grpc/server.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger, type Logger } from '@signet/kit/log/logger.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { openMetricsDoor } from '@signet/kit/telemetry/metrics-door.ts';
import { createTelemetry, type Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { WorkerState } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { BatchServiceService } from '@signet/proto/gen/signet/v1/batch_service.ts';
import { EvaluationServiceService } from '@signet/proto/gen/signet/v1/evaluation_service.ts';
import { ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { OptimizationServiceService } from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { BatchRunner } from './batch/batch-runner.ts';
import { createChunkStore } from './batch/chunk-store.postgres.ts';
import { createItemStore } from './batch/item-store.postgres.ts';
import { loadDataset } from './batch/load-dataset.ts';
import { createLoadStore } from './batch/load-store.postgres.ts';
import { batchHandlers } from './batch/rpc.ts';
import { runItem } from './batch/run-item.ts';
import { createBatchStore } from './batch/store.postgres.ts';
import { ResultCache } from './cache/result-cache.ts';
import { createCacheStore } from './cache/store.postgres.ts';
import { Catalog } from './catalog/catalog.ts';
import { LanguageModels } from './catalog/language-models.ts';
import { loadFieldTypes } from './catalog/load-field-types.ts';
import { Modules } from './catalog/modules.ts';
import { createRegistryClient } from './catalog/registry.grpc.ts';
import { type BackendSource, startBackendReports } from './catalog/report-backend.ts';
import { startReporting } from './catalog/report-modules.ts';
import type { ExecutorConfig } from './config.ts';
import { createDatasetClient } from './dataset/datasets.grpc.ts';
import { createExampleImporter } from './dataset/example-import.grpc.ts';
import { createExampleSource } from './dataset/source.postgres.ts';
import { migrateWhenThere } from './db/migrate-when-there.ts';
import { byIndexAlways, type Database, openDatabase } from './db/pool.ts';
import type { Engines } from './engine/choose-engine.ts';
import type { Engine, EngineName } from './engine/engine.ts';
import { createMockEngine } from './engine/mock.ts';
import { Router } from './engine/router.ts';
import { EvaluationRunner } from './evaluation/evaluation-runner.ts';
import { createEvaluationLeases } from './evaluation/lease.postgres.ts';
import { evaluationHandlers } from './evaluation/rpc.ts';
import { createEvaluationStore } from './evaluation/store.postgres.ts';
import { createAggregateStore } from './execution/aggregate.postgres.ts';
import { createExecutionAudit } from './execution/audit.postgres.ts';
import { Backlog } from './execution/backlog.ts';
import { DetachedRunner } from './execution/detached-runner.ts';
import { cancelled, Housekeeper } from './execution/housekeeper.ts';
import { createIdempotencyStore } from './execution/idempotency.postgres.ts';
import { cancelledFault, createLeaseStore } from './execution/lease.postgres.ts';
import { type Notice, startListener } from './execution/listener.postgres.ts';
import { LiveExecutions } from './execution/live.ts';
import { createLmCallStore } from './execution/lm-call.postgres.ts';
import { createRecorderStore } from './execution/recorder.postgres.ts';
import { Recorder } from './execution/recorder.ts';
import { createRetentionStore } from './execution/retention.postgres.ts';
import { executionHandlers } from './execution/rpc.ts';
import { createExecutionStore } from './execution/store.postgres.ts';
import { createLmClient, type LmClient } from './lm/lm-client.ts';
import { createNativeEngine } from './native/native-engine.ts';
import { PlanRefresher } from './native/plan-refresher.ts';
import { openJobQueue } from './optimization/queue.ts';
import { createOptimizationRegistry } from './optimization/registry.grpc.ts';
import { optimizationHandlers } from './optimization/rpc.ts';
import { createOptimizationDeps, startOptimizing } from './optimization/start-optimizing.ts';
import { loadFunctions } from './pipeline/load-functions.ts';
import { createPipelines, type PipelineDeps, type Pipelines } from './pipeline/pipelines.ts';
import { Gate } from './runtime/gate.ts';
import { prepareHybridModules } from './runtime/prepare-modules.ts';
import { runtimeHandlers } from './runtime/rpc.ts';
import { createRunInstruments } from './runtime/run-instruments.ts';
import { AttachedSessions, attachedSession } from './session/attached-sessions.grpc.ts';
import { ShadowRunner } from './shadow/shadow-runner.ts';
import { createShadowStore } from './shadow/store.postgres.ts';
import { createCompletionReader } from './sidecar/completion-reader.ts';
import { createPythonEngine } from './sidecar/python-engine.ts';
import { queryModules } from './sidecar/query-modules.ts';
import { SidecarPool } from './sidecar/sidecar-pool.ts';
import { createToolCaller } from './tool/call-tool.ts';
import { observeWork } from './work/work-instruments.ts';
import { createWorkStore } from './work/work-store.postgres.ts';

/** What tests may put in place of what an executor makes itself. */
export type ExecutorParts = { readonly engines?: readonly Engine[]; readonly graceMs?: number };

// Each runs many examples at once.
const evaluationsMax = 4;

/** Starts an executor: migrates its schema, follows the registry, and opens its doors. Closing drains, then closes in reverse. */
export async function createExecutorApp(config: ExecutorConfig, parts: ExecutorParts = {}): Promise<Running> {
  const log = createLogger('executor', config.logLevel);
  await loadFieldTypes(config.fieldTypesPath);
  await migrateWhenThere({ log }, config.databaseUrl);
  const closers: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closers.splice(0).reverse()) await step();
  };
  try {
    return { listening: await start(config, parts, log, closers), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function start(
  config: ExecutorConfig,
  parts: ExecutorParts,
  log: Logger,
  closers: (() => Promise<unknown>)[],
): Promise<Record<string, string>> {
  const { databaseUrl, internalToken } = config;
  const telemetry = createTelemetry('signet-executor', config.telemetry, log);
  closers.push(() => telemetry.shutdown());
  const database = openDatabase({ log }, databaseUrl, { connectionMax: 10 });
  const recordDatabase = openDatabase({ log }, databaseUrl, { connectionMax: 2, settings: byIndexAlways });
  closers.push(() => Promise.all([database.close(), recordDatabase.close()]));
  const address = formatAddresses(config.registryAddresses);
  const peer = createGrpcPeer({ telemetry, internalToken, peer: 'registry', address });
  closers.push(async () => peer.close());
  const registry = createRegistryClient(peer);
  const lmClient = createLmClient({ tracer: telemetry.tracer, meter: telemetry.meter });
  closers.push(() => lmClient.close());
  const { engines, closeEngines, source, reading, optimizing } = makeEngines(config, parts, {
    log,
    telemetry,
    lmClient,
  });
  closers.push(closeEngines);
  const pipelines = createPipelines((): PipelineDeps => ({ ...deps, runner, functions }));
  const deps = makeDeps(config, { log, telemetry, lmClient, database, recordDatabase, registry, engines, pipelines });
  const functions = await loadFunctions(config.functionsPath);
  closers.push(() => Promise.all([deps.recorder.drain(), deps.cache.close()]));
  closers.push(() => Promise.all([deps.shadowRunner.close(), deps.plans.close()]));
  const runner = new DetachedRunner(deps, config.detachedMax);
  const housekeeper = new Housekeeper(deps);
  let wakeBatches = (): void => {};
  const listener = startListener({ log }, databaseUrl, (notice) => {
    if (notice.kind === 'batch') wakeBatches();
    else hear(deps.live, runner, notice);
  });
  const reporting = source && startReporting({ source, registry, log });
  const backendReports = startBackendReports(
    {
      source: source && backendSource(source),
      otherNames: () => reporting?.otherNames(),
      hasNative: engines.has('native'),
      running: () => deps.aggregates.runningModules(deps.owner),
      ...deps,
    },
    deps.owner,
  );
  const preparing = prepareHybridModules(deps);
  deps.catalog.start();
  closers.push(async () => {
    reporting?.close();
    backendReports.close();
    preparing.close();
    await Promise.all([deps.catalog.close(), listener.close(), housekeeper.close()]);
  });
  const server = createGrpcServer({ telemetry, log, internalToken });
  const importing = { exampleSource: createExampleSource(database), exampleImporter: createExampleImporter(peer) };
  server.add(ExecutionServiceService, executionHandlers({ ...deps, ...importing, runner }));
  const evaluating = {
    ...{ ...deps, runner, reading, datasets: createDatasetClient(peer) },
    evaluationStore: createEvaluationStore(database),
    evaluationLeases: createEvaluationLeases(database, deps.owner),
  };
  const evaluationRunner = new EvaluationRunner(evaluating, evaluationsMax);
  server.add(EvaluationServiceService, evaluationHandlers({ ...evaluating, evaluationRunner }));
  server.add(RuntimeServiceService, runtimeHandlers({ ...evaluating, evaluationRunner }));
  const jobQueue = await openJobQueue({ log }, databaseUrl);
  const optimizations = createOptimizationRegistry(peer);
  const jobDeps = createOptimizationDeps({ database, owner: deps.owner, jobQueue, optimizations });
  const optimizationDeps = { ...evaluating, evaluationRunner, ...jobDeps, optimizing };
  server.add(OptimizationServiceService, optimizationHandlers(optimizationDeps));
  const batching = makeBatching(database, { ...deps, runner, datasets: evaluating.datasets });
  observeWork(telemetry.meter, createWorkStore(database));
  wakeBatches = () => batching.batchRunner.wake();
  server.add(BatchServiceService, batchHandlers(batching));
  const sessions = new AttachedSessions({ carried: (path) => server.carried(path) });
  server.addDuplex(attachedSession, (stream) => sessions.serve(stream));
  const listening: Record<string, string> = { grpc: await server.listen(config.address) };
  closers.push(() => drain(server, { ...deps, ...batching, sessions, evaluationRunner }, parts.graceMs ?? 10_000));
  if (config.metricsAddress !== undefined) {
    const door = await openMetricsDoor(telemetry, config.metricsAddress);
    closers.push(() => door.close());
    listening.metrics = door.address;
  }
  housekeeper.start();
  runner.start();
  evaluationRunner.start();
  closers.push(await startOptimizing(optimizationDeps, config.optimizationsMax));
  batching.batchRunner.start();
  return listening;
}

/**
 * Tells callers to go elsewhere, gives what runs `graceMs` to end, hands detached executions back, and ends the rest. What was on its
 * way when we told them is still served: nobody is refused.
 */
async function drain(
  server: GrpcServer,
  deps: {
    readonly gate: Gate;
    readonly runner: DetachedRunner;
    readonly live: LiveExecutions;
    readonly sessions: AttachedSessions;
    readonly evaluationRunner: EvaluationRunner;
    readonly batchRunner: BatchRunner;
  },
  graceMs: number,
): Promise<void> {
  server.setServing(false);
  deps.sessions.leave();
  const emptied = server.close(graceMs + 3_000);
  deps.live.close();
  const handedBack = Promise.all([
    deps.batchRunner.close(graceMs),
    deps.evaluationRunner.close(graceMs),
    deps.runner.close(graceMs),
  ]);
  const timer = setTimeout(() => {
    void deps.gate.close(0);
    // Not before detached ones are handed back: what is aborted under our lease would end.
    void handedBack.then(() => {
      for (const live of deps.live.all()) live.abort(cancelled());
    });
  }, graceMs);
  await Promise.all([emptied, handedBack]);
  clearTimeout(timer);
}

type BatchingDeps = ReturnType<typeof makeDeps> & {
  readonly runner: DetachedRunner;
  readonly datasets: ReturnType<typeof createDatasetClient>;
};

function makeBatching(database: Database, deps: BatchingDeps) {
  const batches = createBatchStore(database);
  const chunks = createChunkStore(database, deps.owner);
  const loads = createLoadStore(database);
  const batchRunner = new BatchRunner({
    ...{ batches, chunks, loads, log: deps.log, retentionMs: deps.retentionMs },
    runItem: (batch, item, signal) => runItem(deps, batch, item, signal),
    load: (loading, ctx) => loadDataset({ ...deps, loads }, loading, ctx),
    cancelExecution: async (id) => void (await deps.leases.cancel(id, cancelledFault)),
  });
  return { ...deps, batches, chunks, loads, batchRunner, items: createItemStore(database) };
}

function backendSource(pool: SidecarPool): BackendSource {
  return {
    workerCount: () => pool.workers().filter(({ state }) => state === WorkerState.WORKER_STATE_READY).length,
    modules: () => queryModules(pool, { deadlineMs: Date.now() + 5_000 }),
  };
}

type Outer = { readonly log: Logger; readonly telemetry: Telemetry; readonly lmClient: LmClient };

function makeEngines(config: ExecutorConfig, parts: ExecutorParts, { log, telemetry, lmClient }: Outer) {
  if (parts.engines !== undefined) {
    const engines: Engines = new Map(parts.engines.map((engine) => [engine.name, engine]));
    const closeEngines = async () => void (await Promise.all(parts.engines!.map((engine) => engine.close())));
    return { engines, closeEngines, source: undefined, reading: {}, optimizing: undefined };
  }
  const tools = createToolCaller({ tracer: telemetry.tracer }, { allowPrivate: config.toolsAllowPrivate });
  const pool = new SidecarPool(
    { lm: lmClient, tools, tracer: telemetry.tracer, log, internalToken: config.internalToken },
    { addresses: config.sidecarAddresses },
  );
  const python = createPythonEngine({ pool, meter: telemetry.meter });
  const reader = createCompletionReader({ pool });
  const { tracer } = telemetry;
  const native = createNativeEngine({ lm: lmClient, tools, tracer, compiler: python, reader });
  const engines: Engines = new Map<EngineName, Engine>([
    ['python', python],
    ['native', native],
    ['mock', createMockEngine()],
  ]);
  const closeEngines = async (): Promise<void> => {
    await python.close();
    await tools.close();
  };
  return { engines, closeEngines, source: pool, reading: { reader }, optimizing: { host: pool.optimizers(), tools } };
}

type Inner = Outer & {
  readonly database: Database;
  readonly recordDatabase: Database;
  readonly registry: ReturnType<typeof createRegistryClient>;
  readonly engines: Engines;
  readonly pipelines: Pipelines;
};

function makeDeps(config: ExecutorConfig, inner: Inner) {
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
    retention: createRetentionStore(database),
    retentionMs: config.retentionMs,
    recorder: new Recorder({ store: createRecorderStore(recordDatabase, owner), clock, log }),
    instruments: createRunInstruments(telemetry.meter, {
      inFlight: () => live.size,
      backlog: () => leases.backlog(),
      breakers: () => router.breakers(),
    }),
  };
}

function hear(live: LiveExecutions, runner: DetachedRunner, { kind, id }: Notice): void {
  if (kind === 'work') runner.wake();
  else if (kind === 'end') live.wake(id);
  else if (kind === 'cancel') live.get(id)?.abort(cancelled());
}
