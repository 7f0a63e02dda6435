import { createGrpcServer } from '@signet/kit/grpc/server.ts';
import { createLogger, type Logger } from '@signet/kit/log/logger.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { openMetricsDoor } from '@signet/kit/telemetry/metrics-door.ts';
import { addServices } from './add-services.ts';
import { loadFieldTypes } from './catalog/load-field-types.ts';
import type { ExecutorConfig } from './config.ts';
import { migrateWhenThere } from './db/migrate-when-there.ts';
import { drain } from './drain.ts';
import type { Engine } from './engine/engine.ts';
import { DetachedRunner } from './execution/detached-runner.ts';
import { cancelled, Housekeeper } from './execution/housekeeper.ts';
import { type Notice, startListener } from './execution/listener.postgres.ts';
import type { LiveExecutions } from './execution/live.ts';
import { makeDeps } from './make-deps.ts';
import { makeEngines } from './make-engines.ts';
import { openGround } from './open-ground.ts';
import { startOptimizing } from './optimization/start-optimizing.ts';
import { loadFunctions } from './pipeline/load-functions.ts';
import { createPipelines, type PipelineDeps } from './pipeline/pipelines.ts';
import { prepareHybridModules } from './runtime/prepare-modules.ts';
import { tellRegistry } from './tell-registry.ts';
import { observeWork } from './work/work-instruments.ts';
import { createWorkStore } from './work/work-store.postgres.ts';

/** What tests may put in place of what an executor makes itself. */
export type ExecutorParts = { readonly engines?: readonly Engine[]; readonly graceMs?: number };

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
  const ground = openGround(config, log, closers);
  const { engines, closeEngines, source, reading, optimizing } = makeEngines(config, parts.engines, ground);
  closers.push(closeEngines);
  const pipelines = createPipelines((): PipelineDeps => ({ ...deps, runner, functions }));
  const deps = makeDeps(config, { ...ground, engines, pipelines });
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
  const telling = tellRegistry(deps, source);
  const preparing = prepareHybridModules(deps);
  deps.catalog.start();
  closers.push(async () => {
    telling.close();
    preparing.close();
    await Promise.all([deps.catalog.close(), listener.close(), housekeeper.close()]);
  });
  const { telemetry, database } = ground;
  const server = createGrpcServer({ telemetry, log, internalToken });
  const behind = await addServices(server, { ...ground, reading, optimizing, databaseUrl }, { ...deps, runner });
  const { evaluationRunner, batchRunner, optimizationDeps } = behind;
  observeWork(telemetry.meter, createWorkStore(database));
  wakeBatches = () => batchRunner.wake();
  const listening: Record<string, string> = { grpc: await server.listen(config.address) };
  closers.push(() => drain(server, { ...deps, ...behind, runner }, parts.graceMs ?? 10_000));
  if (config.metricsAddress !== undefined) {
    const door = await openMetricsDoor(telemetry, config.metricsAddress);
    closers.push(() => door.close());
    listening.metrics = door.address;
  }
  housekeeper.start();
  runner.start();
  evaluationRunner.start();
  closers.push(await startOptimizing(optimizationDeps, config.optimizationsMax));
  batchRunner.start();
  return listening;
}

function hear(live: LiveExecutions, runner: DetachedRunner, { kind, id }: Notice): void {
  if (kind === 'work') runner.wake();
  else if (kind === 'end') live.wake(id);
  else if (kind === 'cancel') live.get(id)?.abort(cancelled());
}
