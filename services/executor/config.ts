import { type Address, type EnvReader, EnvReader as Reader } from '@signet/kit/config/env.ts';
import { readInternalToken } from '@signet/kit/config/internal-token.ts';
import { type LogLevel, logLevels } from '@signet/kit/log/logger.ts';
import { readTelemetryConfig, type TelemetryConfig } from '@signet/kit/telemetry/telemetry-config.ts';
import type { LmEndpoint } from './engine/engine.ts';

/** What an executor is told at its start. */
export type ExecutorConfig = {
  readonly address: Address;
  readonly registryAddress: Address;
  readonly sidecarAddress: Address;
  readonly databaseUrl: string;
  readonly internalToken: string;
  /** The default language model; undefined if there is none. */
  readonly lm: LmEndpoint | undefined;
  readonly metricsAddress: Address | undefined;
  readonly logLevel: LogLevel;
  readonly telemetry: TelemetryConfig;
  /** How many attached executions may run at once; beyond, calls are refused. */
  readonly attachedMax: number;
  /** How many detached executions this process runs at once; beyond, they wait. */
  readonly detachedMax: number;
};

/** Reads the environment; throws ConfigError with all its faults. */
export function readConfig(environment: NodeJS.ProcessEnv): ExecutorConfig {
  const env = new Reader(environment);
  const config: ExecutorConfig = {
    address: env.address('SIGNET_EXECUTOR_ADDRESS', '127.0.0.1:50052'),
    registryAddress: env.address('SIGNET_REGISTRY_ADDRESS', '127.0.0.1:50051'),
    sidecarAddress: env.address('SIGNET_SIDECAR_ADDRESS', '127.0.0.1:50053'),
    databaseUrl: env.required('DATABASE_URL'),
    internalToken: readInternalToken(env),
    lm: readLm(env),
    metricsAddress: env.optionalAddress('SIGNET_METRICS_ADDRESS'),
    logLevel: env.choice('SIGNET_LOG_LEVEL', logLevels, 'info'),
    telemetry: readTelemetryConfig(env),
    attachedMax: env.integer('SIGNET_ATTACHED_MAX', 1000, { min: 1, max: 100_000 }),
    detachedMax: env.integer('SIGNET_DETACHED_MAX', 128, { min: 1, max: 10_000 }),
  };
  env.done();
  return config;
}

function readLm(env: EnvReader): LmEndpoint | undefined {
  const model = env.optional('SIGNET_LM_MODEL');
  const apiBase = env.optionalUrl('SIGNET_LM_API_BASE');
  const apiKey = env.text('SIGNET_LM_API_KEY', '');
  const constrained = env.choice('SIGNET_LM_CONSTRAINED', ['none', 'grammar', 'json_schema'], 'none');
  if (model === undefined) return undefined;
  return { model, apiBase: apiBase ?? 'https://api.openai.com/v1', apiKey, constrained };
}
