import { type Address, EnvReader } from '@signet/kit/config/env.ts';
import { readInternalToken } from '@signet/kit/config/internal-token.ts';
import { type LogLevel, logLevels } from '@signet/kit/log/logger.ts';
import { readTelemetryConfig, type TelemetryConfig } from '@signet/kit/telemetry/telemetry-config.ts';
import { type ParserName, parserNames } from '@signet/signature/parse-with.ts';

/** All that a registry is told. */
export type RegistryConfig = {
  readonly address: Address;
  readonly databaseUrl: string;
  /** Seals credentials and the pepper of API keys. */
  readonly secretKey: string;
  /** Opens what was sealed before the secret key was changed, or opens already what is sealed after; undefined if there is none. */
  readonly previousSecretKey: string | undefined;
  readonly internalToken: string;
  /** A key to begin with; undefined makes none. */
  readonly adminKey: string | undefined;
  /** True if language models may stand at private addresses. */
  readonly lmAllowPrivate: boolean;
  /** Which parser reads specifications of calls that name none. */
  readonly signatureParser: ParserName;
  /** A TypeScript file that exports field types; undefined if there are none. */
  readonly fieldTypesPath: string | undefined;
  /** A TypeScript file that exports functions for steps of pipelines; undefined if there are none. */
  readonly functionsPath: string | undefined;
  readonly metricsAddress: Address | undefined;
  readonly logLevel: LogLevel;
  readonly telemetry: TelemetryConfig;
};

/** Reads the environment; ConfigError names everything that is wrong with it. */
export function readConfig(environment: NodeJS.ProcessEnv): RegistryConfig {
  const env = new EnvReader(environment);
  const config: RegistryConfig = {
    address: env.address('SIGNET_REGISTRY_ADDRESS', '127.0.0.1:50051'),
    databaseUrl: env.required('DATABASE_URL'),
    secretKey: env.required('SIGNET_SECRET_KEY'),
    previousSecretKey: env.optional('SIGNET_SECRET_KEY_PREVIOUS') || undefined,
    internalToken: readInternalToken(env),
    adminKey: env.optional('SIGNET_ADMIN_KEY'),
    lmAllowPrivate: env.flag('SIGNET_LM_ALLOW_PRIVATE', false),
    signatureParser: env.choice('SIGNET_SIGNATURE_PARSER', parserNames, 'enhanced'),
    fieldTypesPath: env.optional('SIGNET_FIELD_TYPES'),
    functionsPath: env.optional('SIGNET_FUNCTIONS'),
    metricsAddress: env.optionalAddress('SIGNET_METRICS_ADDRESS'),
    logLevel: env.choice('SIGNET_LOG_LEVEL', logLevels, 'info'),
    telemetry: readTelemetryConfig(env),
  };
  if (config.databaseUrl !== '' && !/^postgres(ql)?:\/\//.test(config.databaseUrl)) {
    env.fault('DATABASE_URL must begin with postgres://');
  }
  if (config.adminKey !== undefined && !/^[\x21-\x7e]{32,128}$/.test(config.adminKey)) {
    env.fault('SIGNET_ADMIN_KEY must have 32 to 128 printable characters without spaces');
  }
  if (config.previousSecretKey !== undefined && !isText(config.previousSecretKey)) {
    env.fault('SIGNET_SECRET_KEY_PREVIOUS must be text of at most 4096 characters');
  }
  env.done();
  return config;
}

// U+FFFD stands where a file held no text.
function isText(value: string): boolean {
  return value.length <= 4096 && !/[^\P{Cc}\t\r\n]|\ufffd/u.test(value);
}
