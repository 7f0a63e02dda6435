import { hostname } from 'node:os';
import type { Meter, Tracer } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationType, MeterProvider } from '@opentelemetry/sdk-metrics';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from '../log/logger.ts';
import { IdsOnlyTracer } from './ids-only-tracer.ts';
import { startMetricsReporter } from './metrics-reporter.ts';
import { createSpanSender } from './span-sender.ts';
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

/** Milliseconds from half of one to a minute, for every duration of ours; those of conventions have their own. */
const durationBucketsMs = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/**
 * Builds the telemetry of a process. Without an endpoint nothing is exported, and spans only carry ids. `log` hears of receivers that are
 * away, and of metrics where that is wished.
 */
export function createTelemetry(serviceName: string, config: TelemetryConfig, log?: Logger): Telemetry {
  const resource = resourceFromAttributes({ 'service.name': serviceName });
  const reader = new PrometheusExporter({ preventServerStart: true });
  const serializer = new PrometheusSerializer();
  const meterProvider = createMeterProvider(resource, reader);
  const meter = meterProvider.getMeter('signet');
  const processors: SpanProcessor[] = [];
  if (config.endpoint !== undefined) {
    const exporter = new OTLPTraceExporter({ url: config.endpoint, timeoutMillis: 3000 });
    processors.push(createSpanSender({ exporter, meter, log }));
  }
  // Replicas have one name: their spans tell which of them it was. Whoever scrapes metrics knows it anyway.
  const instance = resourceFromAttributes({ 'service.instance.id': `${hostname()}-${process.pid}` });
  const spanResource = resource.merge(instance);
  const tracerProvider = new TracerProvider({
    resource: spanResource,
    sampler: samplerOf(config),
    spanProcessors: processors,
  });
  const collect = async () => (await reader.collect()).resourceMetrics;
  const { reportEveryMs } = config;
  const endReports =
    log !== undefined && reportEveryMs !== undefined
      ? startMetricsReporter({ collect, log }, reportEveryMs)
      : undefined;
  return {
    tracer: config.endpoint === undefined ? new IdsOnlyTracer() : tracerProvider.getTracer('signet'),
    meter,
    async metricsText() {
      return serializer.serialize(await collect());
    },
    async shutdown() {
      endReports?.();
      const bound = new Promise<void>((resolve) => setTimeout(resolve, 3000).unref());
      await Promise.race([Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()]), bound]);
    },
  };
}

function createMeterProvider(resource: Resource, reader: PrometheusExporter): MeterProvider {
  const options = { boundaries: durationBucketsMs };
  const aggregation = { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options } as const;
  return new MeterProvider({
    resource,
    readers: [reader],
    views: [{ instrumentName: 'signet.*.duration', aggregation }],
  });
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
