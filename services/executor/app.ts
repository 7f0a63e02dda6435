import { systemClock } from '@signet/kit/clock.ts';
import { formatAddress } from '@signet/kit/config/env.ts';
import { createGrpcPeer } from '@signet/kit/grpc/client.ts';
import { createGrpcServer, type GrpcServer } from '@signet/kit/grpc/server.ts';
import { newId } from '@signet/kit/id.ts';
import { createLogger, type Logger } from '@signet/kit/log/logger.ts';
import type { Running } from '@signet/kit/process/run-main.ts';
import { openMetricsDoor } from '@signet/kit/telemetry/metrics-door.ts';
import { createTelemetry, type Telemetry } from '@signet/kit/telemetry/telemetry.ts';
import { ExecutionServiceService } from '@signet/proto/gen/signet/v1/execution_service.ts';
import { RuntimeServiceService } from '@signet/proto/gen/signet/v1/runtime_service.ts';
import { Catalog } from './catalog/catalog.ts';
import { createRegistryClient } from './catalog/registry.grpc.ts';
import { startReporting } from './catalog/report-modules.ts';
import type { ExecutorConfig } from './config.ts';
import { migrateWhenThere } from './db/migrate-when-there.ts';
import { byIndexAlways, type Database, openDatabase } from './db/pool.ts';
import type { Engines } from './engine/choose-engine.ts';
import type { Engine, EngineName } from './engine/engine.ts';
import { createMockEngine } from './engine/mock.ts';
import { DetachedRunner } from './execution/detached-runner.ts';
import { cancelled, Housekeeper } from './execution/housekeeper.ts';
import { createIdempotencyStore } from './execution/idempotency.postgres.ts';
import { createLeaseStore } from './execution/lease.postgres.ts';
import { type Notice, startListener } from './execution/listener.postgres.ts';
import { LiveExecutions } from './execution/live.ts';
import { createRecorderStore } from './execution/recorder.postgres.ts';
import { Recorder } from './execution/recorder.ts';
import { executionHandlers } from './execution/rpc.ts';
import { createExecutionStore } from './execution/store.postgres.ts';
import { createLmClient } from './lm/lm-client.ts';
import { Gate } from './runtime/gate.ts';
import { runtimeHandlers } from './runtime/rpc.ts';
import { createRunInstruments } from './runtime/run-instruments.ts';
import { createPythonEngine } from './sidecar/python-engine.ts';
import { SidecarPool } from './sidecar/sidecar-pool.ts';

/** What tests may put in place of what an executor makes itself. */
export type ExecutorParts = { readonly engines?: readonly Engine[]; readonly graceMs?: number };

/** Starts an executor: migrates its schema, follows the registry, and opens its doors. Closing drains, then closes in reverse. */
export async function createExecutorApp(config: ExecutorConfig, parts: ExecutorParts = {}): Promise<Running> {
  const log = createLogger('executor', config.logLevel);
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
  const telemetry = createTelemetry('signet-executor', config.telemetry);
  closers.push(() => telemetry.shutdown());
  const database = openDatabase({ log }, databaseUrl, { connectionMax: 10 });
  const recordDatabase = openDatabase({ log }, databaseUrl, { connectionMax: 2, settings: byIndexAlways });
  closers.push(() => Promise.all([database.close(), recordDatabase.close()]));
  const address = formatAddress(config.registryAddress);
  const peer = createGrpcPeer({ telemetry, internalToken, peer: 'registry', address });
  closers.push(async () => peer.close());
  const registry = createRegistryClient(peer);
  const { engines, closeEngines, source } = makeEngines(config, parts, { log, telemetry });
  closers.push(closeEngines);
  const deps = makeDeps(config, { log, telemetry, database, recordDatabase, registry, engines });
  closers.push(() => deps.recorder.drain());
  const runner = new DetachedRunner(deps, config.detachedMax);
  const housekeeper = new Housekeeper(deps);
  const listener = startListener({ log }, databaseUrl, (notice) => hear(deps.live, runner, notice));
  const reporting = source && startReporting({ source, registry, log });
  deps.catalog.start();
  closers.push(async () => {
    reporting?.close();
    await Promise.all([deps.catalog.close(), listener.close(), housekeeper.close()]);
  });
  const server = createGrpcServer({ telemetry, log, internalToken });
  server.add(RuntimeServiceService, runtimeHandlers({ ...deps, runner }));
  server.add(ExecutionServiceService, executionHandlers({ ...deps, runner }));
  const listening: Record<string, string> = { grpc: await server.listen(config.address) };
  closers.push(() => drain(server, { ...deps, runner }, parts.graceMs ?? 10_000));
  if (config.metricsAddress !== undefined) {
    const door = await openMetricsDoor(telemetry, config.metricsAddress);
    closers.push(() => door.close());
    listening.metrics = door.address;
  }
  housekeeper.start();
  runner.start();
  return listening;
}

/** Lets nobody in, gives what runs `graceMs` to end, hands detached executions back, and ends the rest. */
async function drain(
  server: GrpcServer,
  deps: { readonly gate: Gate; readonly runner: DetachedRunner; readonly live: LiveExecutions },
  graceMs: number,
): Promise<void> {
  server.setServing(false);
  await Promise.all([deps.gate.close(graceMs), deps.runner.close(graceMs)]);
  for (const live of deps.live.all()) live.abort(cancelled());
  await server.close(3_000);
}

type Outer = { readonly log: Logger; readonly telemetry: Telemetry };

function makeEngines(config: ExecutorConfig, parts: ExecutorParts, { log, telemetry }: Outer) {
  if (parts.engines !== undefined) {
    const engines: Engines = new Map(parts.engines.map((engine) => [engine.name, engine]));
    const closeEngines = async () => void (await Promise.all(parts.engines!.map((engine) => engine.close())));
    return { engines, closeEngines, source: undefined };
  }
  const lm = createLmClient({ tracer: telemetry.tracer });
  const pool = new SidecarPool(
    { lm, tracer: telemetry.tracer, log, internalToken: config.internalToken },
    { address: config.sidecarAddress },
  );
  const python = createPythonEngine({ pool });
  const engines: Engines = new Map<EngineName, Engine>([
    ['python', python],
    ['mock', createMockEngine()],
  ]);
  const closeEngines = async (): Promise<void> => {
    await python.close();
    await lm.close();
  };
  return { engines, closeEngines, source: pool };
}

type Inner = Outer & {
  readonly database: Database;
  readonly recordDatabase: Database;
  readonly registry: ReturnType<typeof createRegistryClient>;
  readonly engines: Engines;
};

function makeDeps(config: ExecutorConfig, inner: Inner) {
  const { log, telemetry, database, recordDatabase, registry, engines } = inner;
  const owner = newId();
  const clock = systemClock;
  const live = new LiveExecutions();
  const leases = createLeaseStore(database, owner);
  return {
    log,
    telemetry,
    clock,
    registry,
    engines,
    live,
    leases,
    lm: config.lm,
    catalog: new Catalog({ registry, log }),
    gate: new Gate(config.attachedMax),
    store: createExecutionStore(database),
    idempotency: createIdempotencyStore(database),
    recorder: new Recorder({ store: createRecorderStore(recordDatabase, owner), clock, log }),
    instruments: createRunInstruments(telemetry.meter, {
      inFlight: () => live.size,
      backlog: () => leases.backlog(),
    }),
  };
}

function hear(live: LiveExecutions, runner: DetachedRunner, { kind, id }: Notice): void {
  if (kind === 'work') runner.wake();
  else if (kind === 'end') live.wake(id);
  else live.get(id)?.abort(cancelled());
}
