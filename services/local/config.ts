import { join, resolve } from 'node:path';
import { type Address, EnvReader } from '@signet/kit/config/env.ts';

/** The doors of the stack. Port 0 stands for a free one. */
export type Doors = Record<DoorName, Address>;

/** The doors by name. */
export type DoorName = 'http' | 'grpc' | 'registry' | 'executor' | 'sidecar';

/** The variable that moves each door. */
export const DOOR_VARIABLES: Record<DoorName, string> = {
  http: 'SIGNET_HTTP_ADDRESS',
  grpc: 'SIGNET_GRPC_ADDRESS',
  registry: 'SIGNET_REGISTRY_ADDRESS',
  executor: 'SIGNET_EXECUTOR_ADDRESS',
  sidecar: 'SIGNET_SIDECAR_ADDRESS',
};

/** The processes whose metrics stand at doors of their own; the gateway shows its own over HTTP. */
export const METRICS_DOORS = ['registry', 'executor', 'sidecar'] as const;

/** A language model that the operator named. */
export type NamedModel = { model: string; apiBase?: string; apiKey?: string; constrained?: string };

/** What the launcher reads from the environment. */
export type LauncherConfig = {
  /** The repository's folder. */
  root: string;
  /** What is made once: the virtual environment and the models. */
  cacheDir: string;
  /** Where metrics are shown: the port of the registry's, the next two are the executor's and the sidecar's; port 0 picks free ones. */
  metrics?: Address;
  /** What belongs to one stack: database, secret, logs, `run.json`. */
  dataDir: string;
  databaseUrl?: string;
  doors: Doors;
  adminKey?: string;
  secretKey?: string;
  previousSecretKey?: string;
  internalToken?: string;
  model?: NamedModel;
  ggufPath?: string;
  isDebug: boolean;
  /** What else the processes inherit: the environment without anything secret and without what the launcher decides. */
  inherited: NodeJS.ProcessEnv;
};

/** Reads the launcher's environment; throws one ConfigError that names everything wrong with it. */
export function readLauncherConfig(env: NodeJS.ProcessEnv): LauncherConfig {
  const reader = new EnvReader(env);
  const root = resolve(import.meta.dirname, '..', '..');
  const dataDir = resolve(root, reader.text('SIGNET_DATA_DIR', '.signet'));
  const model = reader.optional('SIGNET_LM_MODEL');
  const config: LauncherConfig = {
    root,
    cacheDir: dataDir,
    dataDir,
    databaseUrl: readDatabaseUrl(reader),
    doors: {
      http: reader.address(DOOR_VARIABLES.http, '127.0.0.1:8080'),
      grpc: reader.address(DOOR_VARIABLES.grpc, '127.0.0.1:50050'),
      registry: reader.address(DOOR_VARIABLES.registry, '127.0.0.1:50051'),
      executor: reader.address(DOOR_VARIABLES.executor, '127.0.0.1:50052'),
      sidecar: reader.address(DOOR_VARIABLES.sidecar, '127.0.0.1:50053'),
    },
    adminKey: reader.optional('SIGNET_ADMIN_KEY'),
    secretKey: reader.optional('SIGNET_SECRET_KEY'),
    previousSecretKey: reader.optional('SIGNET_SECRET_KEY_PREVIOUS'),
    internalToken: reader.optional('SIGNET_INTERNAL_TOKEN'),
    model: model === undefined ? undefined : readModel(reader, model),
    ggufPath: reader.optional('SIGNET_LM_GGUF'),
    metrics: reader.optionalAddress('SIGNET_METRICS_ADDRESS'),
    isDebug: env.SIGNET_LOG_LEVEL === 'debug' || env.SIGNET_LOG_LEVEL === 'trace',
    inherited: inheritable(env),
  };
  if (config.adminKey !== undefined && !/^[\x21-\x7e]{32,128}$/.test(config.adminKey)) {
    reader.fault('SIGNET_ADMIN_KEY must be 32 to 128 printable characters');
  }
  reader.done();
  return config;
}

/** Where the virtual environment's Python stands. */
export function pythonOf(config: LauncherConfig): string {
  return join(config.cacheDir, 'venv', 'bin', 'python');
}

function readDatabaseUrl(reader: EnvReader): string | undefined {
  const url = reader.optional('DATABASE_URL');
  if (url === undefined) return undefined;
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol)) {
    reader.fault('DATABASE_URL must be like postgres://USER:PASSWORD@HOST:5432/NAME');
  }
  return url;
}

function readModel(reader: EnvReader, model: string): NamedModel {
  return {
    model,
    apiBase: reader.optionalUrl('SIGNET_LM_API_BASE'),
    apiKey: reader.optional('SIGNET_LM_API_KEY'),
    constrained: reader.optional('SIGNET_LM_CONSTRAINED'),
  };
}

const DECIDED =
  /^(DATABASE_URL|SIGNET_(SECRET_KEY|SECRET_KEY_PREVIOUS|ADMIN_KEY|INTERNAL_TOKEN|METRICS_ADDRESS|DATA_DIR|LM_(MODEL|API_BASE|API_KEY|GGUF|CONSTRAINED)))(_FILE)?$/;

function inheritable(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const doors = new Set(Object.values(DOOR_VARIABLES));
  const kept = Object.entries(env).filter(([name]) => !DECIDED.test(name) && !doors.has(name) && !/^npm_/i.test(name));
  return Object.fromEntries(kept);
}
