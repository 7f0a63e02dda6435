import { type Address, type EnvReader, EnvReader as Reader } from '@signet/kit/config/env.ts';
import { readInternalToken } from '@signet/kit/config/internal-token.ts';
import { type LogLevel, logLevels } from '@signet/kit/log/logger.ts';
import { readTelemetryConfig, type TelemetryConfig } from '@signet/kit/telemetry/telemetry-config.ts';
import type { LmEndpoint } from './engine/engine.ts';
import { lmEndpoint, providerOf } from './engine/lm-endpoint.ts';

/** What an executor is told at its start. */
export type ExecutorConfig = {
  readonly address: Address;
  /** Where registries are; a name may stand for several. */
  readonly registryAddresses: readonly Address[];
  /** Where sidecars are; a name may stand for several. */
  readonly sidecarAddresses: readonly Address[];
  readonly databaseUrl: string;
  readonly internalToken: string;
  /** The default language model; undefined if there is none. */
  readonly lm: LmEndpoint | undefined;
  /** True if language models of the API may stand at private addresses. */
  readonly lmAllowPrivate: boolean;
  /** True if tools of agents may stand at private addresses. */
  readonly toolsAllowPrivate: boolean;
  /** A TypeScript file that exports field types; undefined if there are none. */
  readonly fieldTypesPath: string | undefined;
  /** A TypeScript file that exports functions for steps of pipelines; undefined if there are none. */
  readonly functionsPath: string | undefined;
  readonly metricsAddress: Address | undefined;
  readonly logLevel: LogLevel;
  readonly telemetry: TelemetryConfig;
  /** How many attached executions may run at once; beyond, calls are refused. */
  readonly attachedMax: number;
  /** How many detached executions this process runs at once; beyond, they wait. */
  readonly detachedMax: number;
  /** How many detached executions may wait, of all executors together; beyond, calls are refused. */
  readonly backlogMax: number;
  /** How many optimization jobs this process works on at once; 0 means none. */
  readonly optimizationsMax: number;
  /** How long executions are kept after their end, in milliseconds; undefined means for ever. */
  readonly retentionMs: number | undefined;
};

/** Reads the environment; throws ConfigError with all its faults. */
export function readConfig(environment: NodeJS.ProcessEnv): ExecutorConfig {
  const env = new Reader(environment);
  const config: ExecutorConfig = {
    address: env.address('SIGNET_EXECUTOR_ADDRESS', '127.0.0.1:50052'),
    registryAddresses: env.addresses('SIGNET_REGISTRY_ADDRESS', '127.0.0.1:50051'),
    sidecarAddresses: env.addresses('SIGNET_SIDECAR_ADDRESS', '127.0.0.1:50053'),
    databaseUrl: env.required('DATABASE_URL'),
    internalToken: readInternalToken(env),
    lm: readLm(env),
    lmAllowPrivate: env.flag('SIGNET_LM_ALLOW_PRIVATE', false),
    toolsAllowPrivate: env.flag('SIGNET_TOOLS_ALLOW_PRIVATE', false),
    fieldTypesPath: env.optional('SIGNET_FIELD_TYPES'),
    functionsPath: env.optional('SIGNET_FUNCTIONS'),
    metricsAddress: env.optionalAddress('SIGNET_METRICS_ADDRESS'),
    logLevel: env.choice('SIGNET_LOG_LEVEL', logLevels, 'info'),
    telemetry: readTelemetryConfig(env),
    attachedMax: env.integer('SIGNET_ATTACHED_MAX', 1000, { min: 1, max: 100_000 }),
    detachedMax: env.integer('SIGNET_DETACHED_MAX', 128, { min: 1, max: 10_000 }),
    backlogMax: env.integer('SIGNET_BACKLOG_MAX', 10_000, { min: 1, max: 10_000_000 }),
    optimizationsMax: env.integer('SIGNET_OPTIMIZATIONS_MAX', 1, { min: 0, max: 64 }),
    retentionMs: readRetention(env),
  };
  env.done();
  return config;
}

const apiBaseOf = {
  openai: 'https://api.openai.com/v1',
  anthropic: 'https://api.anthropic.com',
  gemini: 'https://generativelanguage.googleapis.com',
} as const;

function readLm(env: EnvReader): LmEndpoint | undefined {
  const model = env.optional('SIGNET_LM_MODEL');
  const apiBase = env.optionalUrl('SIGNET_LM_API_BASE');
  const apiKey = env.text('SIGNET_LM_API_KEY', '');
  const constrained = env.choice('SIGNET_LM_CONSTRAINED', ['none', 'grammar', 'json_schema'], 'none');
  if (model === undefined) return undefined;
  return lmEndpoint({ model, apiBase: apiBase ?? apiBaseOf[providerOf(model)], apiKey, constrained });
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function readRetention(env: EnvReader): number | undefined {
  const text = env.text('SIGNET_RETENTION', 'off');
  if (text === 'off') return undefined;
  const [, count, unit] = /^([1-9]\d{0,5})([mhd])$/.exec(text) ?? [];
  if (count === undefined) env.fault('SIGNET_RETENTION must be off or like 90d, 12h or 30m');
  return Number(count) * unitMs[(unit ?? 'd') as keyof typeof unitMs];
}
