import type { EnvReader } from '../config/env.ts';

const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** What a process exports, by OpenTelemetry's environment names. */
export type TelemetryConfig = {
  /** Where OTLP over gRPC is received, such as `http://127.0.0.1:4317`; undefined exports nothing. */
  readonly endpoint: string | undefined;
  readonly sampler: (typeof samplers)[number];
  /** The ratio of the ratio samplers, 0 to 1. */
  readonly samplerArg: number;
};

/** Telemetry that exports nothing. */
export const noTelemetry: TelemetryConfig = { endpoint: undefined, sampler: 'always_off', samplerArg: 1 };

/** Reads OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. */
export function readTelemetryConfig(env: EnvReader): TelemetryConfig {
  return {
    endpoint: env.optionalUrl('OTEL_EXPORTER_OTLP_ENDPOINT'),
    sampler: env.choice('OTEL_TRACES_SAMPLER', samplers, 'parentbased_always_on'),
    samplerArg: env.number('OTEL_TRACES_SAMPLER_ARG', 1, { min: 0, max: 1 }),
  };
}
