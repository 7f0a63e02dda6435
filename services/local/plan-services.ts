import { join } from 'node:path';
import { type LauncherConfig, pythonOf } from './config.ts';
import type { MetricsDoors, OpenDoors } from './doors.ts';
import type { LanguageModel } from './language-model.ts';
import type { ProcessSpec } from './supervise.ts';

/** The processes of the product. */
export type ServiceName = 'registry' | 'executor' | 'gateway' | 'sidecar';

/** What the processes are told. */
export type PlanInput = {
  config: LauncherConfig;
  doors: OpenDoors;
  /** Where metrics are shown; left out, only the gateway shows its own. */
  metrics?: MetricsDoors;
  databaseUrl: string;
  secretKey: string;
  internalToken: string;
  adminKey?: string;
  languageModel: Pick<LanguageModel, 'env'>;
};

/** How each process is started. Each gets only what it needs to know: the registry alone the secret keys, the sidecar no database and no model's key. */
export function planServices(input: PlanInput): Record<ServiceName, Omit<ProcessSpec, 'name' | 'log'>> {
  const { metrics, config, doors, databaseUrl, secretKey, internalToken, adminKey, languageModel } = input;
  const common = { ...config.inherited, SIGNET_INTERNAL_TOKEN: internalToken };
  const inner = { SIGNET_REGISTRY_ADDRESS: doors.registry, SIGNET_EXECUTOR_ADDRESS: doors.executor };
  const node = (name: string, env: NodeJS.ProcessEnv) => ({
    command: process.execPath,
    args: [join(config.root, 'services', name, 'main.ts')],
    cwd: config.root,
    env: { ...common, ...env },
  });
  return {
    registry: node('registry', {
      DATABASE_URL: databaseUrl,
      SIGNET_SECRET_KEY: secretKey,
      ...(config.previousSecretKey !== undefined && { SIGNET_SECRET_KEY_PREVIOUS: config.previousSecretKey }),
      SIGNET_REGISTRY_ADDRESS: doors.registry,
      ...metricsEnv(metrics?.registry),
      ...(adminKey !== undefined && { SIGNET_ADMIN_KEY: adminKey }),
    }),
    executor: node('executor', {
      ...inner,
      ...languageModel.env,
      DATABASE_URL: databaseUrl,
      SIGNET_SIDECAR_ADDRESS: doors.sidecar,
      ...metricsEnv(metrics?.executor),
    }),
    gateway: node('gateway', { ...inner, SIGNET_HTTP_ADDRESS: doors.http, SIGNET_GRPC_ADDRESS: doors.grpc }),
    sidecar: {
      command: pythonOf(config),
      args: ['-m', 'signet_sidecar'],
      cwd: join(config.root, 'python-sidecar'),
      env: { ...common, SIGNET_SIDECAR_ADDRESS: doors.sidecar, ...metricsEnv(metrics?.sidecar) },
      readyMs: 120_000,
    },
  };
}

function metricsEnv(address: string | undefined): NodeJS.ProcessEnv {
  return address === undefined ? {} : { SIGNET_METRICS_ADDRESS: address };
}
