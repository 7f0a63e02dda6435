import type { Meter, Tracer } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationType, MeterProvider } from '@opentelemetry/sdk-metrics';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TelemetryConfig } from './telemetry-config.ts';

/** Spans and metrics of one process. Handed on explicitly: several can live in one process. */
export type Telemetry = {
  readonly tracer: Tracer;
  readonly meter: Meter;
  /** All metrics in Prometheus' text form. */
  metricsText(): Promise<string>;
  /** Sends what is left, for at most 3 s, and never throws. */
  shutdown(): Promise<void>;
};

/** Milliseconds from half of one to a minute, for every duration histogram. */
const durationBucketsMs = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/** Builds the telemetry of a process. Without an endpoint nothing is exported, and spans only carry ids. */
export function createTelemetry(serviceName: string, config: TelemetryConfig): Telemetry {
  const resource = resourceFromAttributes({ 'service.name': serviceName });
  const processors: SpanProcessor[] = [];
  if (config.endpoint !== undefined) {
    const exporter = new OTLPTraceExporter({ url: config.endpoint, timeoutMillis: 3000 });
    processors.push(
      new BatchSpanProcessor({ exporter, scheduledDelayMillis: 500, maxQueueSize: 8192, exportTimeoutMillis: 3000 }),
    );
  }
  const tracerProvider = new TracerProvider({ resource, sampler: samplerOf(config), spanProcessors: processors });
  const reader = new PrometheusExporter({ preventServerStart: true });
  const serializer = new PrometheusSerializer();
  const meterProvider = new MeterProvider({
    resource,
    readers: [reader],
    views: [
      {
        instrumentName: '*duration*',
        aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: durationBucketsMs } },
      },
    ],
  });
  return {
    tracer: tracerProvider.getTracer('signet'),
    meter: meterProvider.getMeter('signet'),
    async metricsText() {
      const { resourceMetrics } = await reader.collect();
      return serializer.serialize(resourceMetrics);
    },
    async shutdown() {
      const bound = new Promise<void>((resolve) => setTimeout(resolve, 3000).unref());
      await Promise.race([Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()]), bound]);
    },
  };
}

function samplerOf(config: TelemetryConfig): Sampler {
  if (config.endpoint === undefined) return new AlwaysOffSampler();
  const root = config.sampler.endsWith('traceidratio')
    ? new TraceIdRatioBasedSampler(config.samplerArg)
    : config.sampler.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new AlwaysOnSampler();
  return config.sampler.startsWith('parentbased') ? new ParentBasedSampler({ root }) : root;
}
