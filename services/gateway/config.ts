import { type Address, EnvReader, formatAddresses } from '@signet/kit/config/env.ts';
import { readInternalToken } from '@signet/kit/config/internal-token.ts';
import { type LogLevel, logLevels } from '@signet/kit/log/logger.ts';
import { readTelemetryConfig, type TelemetryConfig } from '@signet/kit/telemetry/telemetry-config.ts';
import { parseRateLimit, type RateLimit } from './admission/rate-limit.ts';

/** What the gateway needs to know before it starts. */
export type GatewayConfig = {
  readonly http: Address;
  readonly grpc: Address;
  /** `host:port` of the registry and of the executor, or several separated by commas. */
  readonly registryAddress: string;
  readonly executorAddress: string;
  readonly internalToken: string;
  /** Undefined means no limit. */
  readonly rateLimit: RateLimit | undefined;
  /** Runs of programs that may be under way at once. */
  readonly inFlightMax: number;
  readonly telemetry: TelemetryConfig;
  readonly logLevel: LogLevel;
  /** How long the gateway serves on after it has said that it is not ready any more, in milliseconds. */
  readonly lingerMs: number;
  /** How long running calls may take to end when the gateway stops, in milliseconds. */
  readonly graceMs: number;
  /** Silence on an event stream before a comment is sent, in milliseconds. */
  readonly heartbeatMs: number;
};

/** Reads the environment; throws one ConfigError with all faults. */
export function readConfig(environment: NodeJS.ProcessEnv): GatewayConfig {
  const env = new EnvReader(environment);
  const rateLimit = parseRateLimit(env.text('SIGNET_RATE_LIMIT', '100/60s'));
  if (rateLimit === null) env.fault('SIGNET_RATE_LIMIT must be such as 100/60s, or off');
  const config: GatewayConfig = {
    http: env.address('SIGNET_HTTP_ADDRESS', '127.0.0.1:8080'),
    grpc: env.address('SIGNET_GRPC_ADDRESS', '127.0.0.1:50050'),
    registryAddress: formatAddresses(env.addresses('SIGNET_REGISTRY_ADDRESS', '127.0.0.1:50051')),
    executorAddress: formatAddresses(env.addresses('SIGNET_EXECUTOR_ADDRESS', '127.0.0.1:50052')),
    internalToken: readInternalToken(env),
    rateLimit: rateLimit ?? undefined,
    inFlightMax: env.integer('SIGNET_IN_FLIGHT_MAX', 1000, { min: 1, max: 100_000 }),
    telemetry: readTelemetryConfig(env),
    logLevel: env.choice('SIGNET_LOG_LEVEL', logLevels, 'info'),
    lingerMs: env.integer('SIGNET_LINGER_MS', 0, { min: 0, max: 5_000 }),
    graceMs: 10_000,
    heartbeatMs: 15_000,
  };
  env.done();
  return config;
}
