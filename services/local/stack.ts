import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { claimFolder } from './claim-folder.ts';
import { type LauncherConfig, pythonOf } from './config.ts';
import { type Database, openDatabase } from './database.ts';
import { chooseDoors, chooseMetricsDoors, type MetricsDoors, type OpenDoors } from './doors.ts';
import { type LanguageModel, startLanguageModel } from './language-model.ts';
import { explainSystemError, LaunchError } from './launch-error.ts';
import { openLogFile } from './log-file.ts';
import { planServices, type ServiceName } from './plan-services.ts';
import { removeRunFile, writeRunFile } from './run-file.ts';
import { deriveInternalToken, hasAdminKey, makeAdminKey, noteAdminKey, readOrMakeSecret } from './secrets.ts';
import { watchSidecarWorkers } from './sidecar-workers.ts';
import { SupervisedProcess } from './supervise.ts';

const READY_MS = 120_000;

/** A running stack. */
export type Stack = {
  doors: OpenDoors;
  /** Where processes besides the gateway show their metrics; undefined if nobody asked for it. */
  metrics?: MetricsDoors;
  languageModel: LanguageModel;
  /** The administrator's key when this start made it, or when it was given. */
  adminKey?: string;
  /** True when this start made it: the one time it can be shown. */
  isKeyNew: boolean;
  logsDir: string;
  /** Ends everything in an order that drains; repeatable. */
  stop(): Promise<void>;
};

/** Starts database, language model, registry, sidecar, executor and gateway, waits until the gateway is ready, and keeps `run.json`. Throws a LaunchError of one line and leaves nothing running when it cannot. */
export async function startStack(
  config: LauncherConfig,
  log: (line: string) => void,
  signal?: AbortSignal,
): Promise<Stack> {
  const started = new Started();
  signal?.addEventListener('abort', () => void started.stop(), { once: true });
  try {
    mkdirSync(config.dataDir, { recursive: true });
    const release = claimFolder(config.dataDir);
    started.onStop(async () => release());
    return await startAll(config, log, started);
  } catch (error) {
    await started.stop();
    throw explainSystemError(error, config.dataDir);
  }
}

/** What was started, to be ended in reverse. Once ending began, what still comes up is ended at once. */
class Started {
  private readonly ends: (() => Promise<void>)[] = [];
  private stopping: Promise<void> | undefined;

  onStop(end: () => Promise<void>): void {
    if (this.stopping) this.stopping = this.stopping.then(end);
    else this.ends.push(end);
  }

  /** Throws when ending began: nothing more is to be started. */
  check(): void {
    if (this.stopping) throw new LaunchError('stopped while starting');
  }

  stop(): Promise<void> {
    this.stopping ??= this.endAll();
    return this.stopping;
  }

  private async endAll(): Promise<void> {
    for (const end of this.ends.reverse()) await end();
  }
}

async function startAll(config: LauncherConfig, log: (line: string) => void, started: Started): Promise<Stack> {
  const logsDir = join(config.dataDir, 'logs');
  const openLog = (name: string) => openLogFile(join(logsDir, `${name}.log`), { alsoOnTerminal: config.isDebug, name });
  const launcherLog = openLog('launcher');
  const doors = await chooseDoors(config.doors);
  const metrics = config.metrics && (await chooseMetricsDoors(config.metrics, doors));
  const secretKey = config.secretKey ?? readOrMakeSecret(config.dataDir);
  const internalToken = config.internalToken ?? deriveInternalToken(secretKey);
  const isKeyNew = config.adminKey === undefined && !hasAdminKey(config.dataDir);
  const adminKey = config.adminKey ?? (isKeyNew ? makeAdminKey() : undefined);

  const state = new RunState(join(config.dataDir, 'run.json'), doors, metrics);
  started.onStop(async () => state.close());
  log('starting the database');
  const note = (line: string) => launcherLog.note(line);
  const database = await openDatabase({
    databaseUrl: config.databaseUrl,
    dataDir: config.dataDir,
    log: note,
    onChange: () => state.write(),
  });
  started.onStop(() => database.stop());
  state.database = database;

  log('starting the language model');
  const languageModel = await startLanguageModel({
    ...{ model: config.model, ggufPath: config.ggufPath, inherited: config.inherited, log },
    ...{ python: pythonOf(config), modelsDir: join(config.cacheDir, 'models'), logFile: openLog('language-model') },
  });
  started.onStop(() => languageModel.stop());

  const plan = planServices({
    config,
    doors,
    ...(metrics && { metrics }),
    databaseUrl: database.url,
    secretKey,
    internalToken,
    adminKey,
    languageModel,
  });
  const start = async (name: ServiceName) => {
    started.check();
    const service = new SupervisedProcess({ name, log: openLog(name), ...plan[name] }, () => state.write());
    state.services.set(name, service);
    started.onStop(() => service.stop());
    await service.start();
  };
  log('starting sidecar and registry');
  // In this order, so that the reverse ends the sidecar after the registry.
  const sidecar = start('sidecar');
  const registry = start('registry');
  await settleBoth(sidecar, registry);
  const endWatch = watchSidecarWorkers(doors.sidecar, internalToken, (pids) => state.setWorkers(pids));
  started.onStop(async () => endWatch());
  if (isKeyNew && adminKey !== undefined) noteAdminKey(config.dataDir, adminKey);
  log('starting executor and gateway');
  await start('executor');
  await start('gateway');
  await waitUntilReady(doors.http, logsDir, () => started.check());
  state.write();
  return { doors, ...(metrics && { metrics }), languageModel, adminKey, isKeyNew, logsDir, stop: () => started.stop() };
}

// Both have to be settled before anything is ended, or the slower one would be left alone.
async function settleBoth(...starts: Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(starts)) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

async function waitUntilReady(http: string, logsDir: string, check: () => void): Promise<void> {
  const end = performance.now() + READY_MS;
  let last = 'no answer';
  while (performance.now() < end) {
    check();
    try {
      const response = await fetch(`http://${http}/readyz`, { signal: AbortSignal.timeout(5_000) });
      if (response.ok) return;
      last = `${response.status} ${(await response.text()).slice(0, 300)}`;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(100);
  }
  throw new LaunchError(`the stack is not ready after ${READY_MS / 1000} s (${last}): see ${logsDir}`);
}

/** Keeps `run.json` in step with what runs. */
class RunState {
  readonly services = new Map<ServiceName, SupervisedProcess>();
  database: Database | undefined;
  private readonly path: string;
  private readonly doors: OpenDoors;
  private readonly metrics: MetricsDoors | undefined;
  private workers: number[] = [];
  private closed = false;

  constructor(path: string, doors: OpenDoors, metrics: MetricsDoors | undefined) {
    this.metrics = metrics;
    this.path = path;
    this.doors = doors;
  }

  setWorkers(pids: number[]): void {
    this.workers = pids;
    this.write();
  }

  write(): void {
    if (this.closed) return;
    const door = (name: keyof MetricsDoors) => this.metrics && { metrics: this.metrics[name] };
    const pid = (name: ServiceName) => this.services.get(name)?.pid;
    writeRunFile(this.path, {
      registry: { pid: pid('registry'), address: this.doors.registry, ...door('registry') },
      executor: { pid: pid('executor'), address: this.doors.executor, ...door('executor') },
      gateway: { pid: pid('gateway'), http: this.doors.http, grpc: this.doors.grpc },
      sidecar: {
        pid: pid('sidecar'),
        address: this.doors.sidecar,
        ...door('sidecar'),
        workers: this.workers.map((worker) => ({ pid: worker })),
      },
      ...(this.database && { postgres: { pid: this.database.pid(), url: this.database.url } }),
    });
  }

  close(): void {
    this.closed = true;
    removeRunFile(this.path);
  }
}
