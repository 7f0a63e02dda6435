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
  /** Milliseconds between two reports of all metrics in the log; undefined reports none. */
  readonly reportEveryMs?: number | undefined;
};

/** Telemetry that exports nothing. */
export const noTelemetry: TelemetryConfig = { endpoint: undefined, sampler: 'always_off', samplerArg: 1 };

/**
 * Reads OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_METRICS_EXPORTER (`console` reports metrics in the
 * log; they can be scraped in any case) and OTEL_METRIC_EXPORT_INTERVAL.
 */
export function readTelemetryConfig(env: EnvReader): TelemetryConfig {
  const exporter = env.choice('OTEL_METRICS_EXPORTER', ['prometheus', 'console', 'none'], 'prometheus');
  const everyMs = env.integer('OTEL_METRIC_EXPORT_INTERVAL', 60_000, { min: 100, max: 3_600_000 });
  return {
    endpoint: env.optionalUrl('OTEL_EXPORTER_OTLP_ENDPOINT'),
    sampler: env.choice('OTEL_TRACES_SAMPLER', samplers, 'parentbased_always_on'),
    samplerArg: env.number('OTEL_TRACES_SAMPLER_ARG', 1, { min: 0, max: 1 }),
    reportEveryMs: exporter === 'console' ? everyMs : undefined,
  };
}
