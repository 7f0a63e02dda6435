import type { DataPoint, Histogram, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { Logger } from '../log/logger.ts';

/** What a reporter needs; `collect` reads all metrics as they are. */
export type ReporterDeps = { readonly collect: () => Promise<ResourceMetrics>; readonly log: Logger };

type Summary = number | { readonly count: number; readonly sum: number; readonly max: number | undefined };

/**
 * Writes all metrics to the log again and again, and those of language models once more by themselves. A report that fails is told of
 * and the next one is made all the same. Gives what ends it.
 */
export function startMetricsReporter({ collect, log }: ReporterDeps, everyMs: number): () => void {
  const report = async (): Promise<void> => {
    try {
      const all = summarize(await collect());
      log.info({ metrics: Object.fromEntries(all) }, 'metrics');
      const models = all.filter(([name]) => name.startsWith('signet.llm.'));
      if (models.length > 0) log.info({ metrics: Object.fromEntries(models) }, 'metrics of language models');
    } catch (error) {
      log.warn({ err: error }, 'metrics could not be reported');
    }
  };
  const timer = setInterval(() => void report(), everyMs).unref();
  return () => clearInterval(timer);
}

function summarize({ scopeMetrics }: ResourceMetrics): [string, Summary][] {
  return scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .flatMap(({ descriptor, dataPoints }) =>
      (dataPoints as DataPoint<number | Histogram>[]).map((point): [string, Summary] => [
        `${descriptor.name}${labelsOf(point)}`,
        typeof point.value === 'number' ? point.value : short(point.value),
      ]),
    );
}

function short({ count, sum = 0, max }: Histogram): Summary {
  return { count, sum, max };
}

function labelsOf({ attributes }: DataPoint<unknown>): string {
  const labels = Object.entries(attributes).map(([name, value]) => `${name}=${String(value)}`);
  return labels.length === 0 ? '' : `{${labels.join(',')}}`;
}
