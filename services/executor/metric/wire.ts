import { invalidField } from '@signet/kit/error/app-error.ts';
import { MetricKind as WireKind, type Metric as WireMetric } from '@signet/proto/gen/signet/v1/metric.ts';
import type { Metric, MetricKind } from './metric.ts';

const wireKinds: Readonly<Record<MetricKind, WireKind>> = {
  exact_match: WireKind.METRIC_KIND_EXACT_MATCH,
  f1: WireKind.METRIC_KIND_F1,
  contains: WireKind.METRIC_KIND_CONTAINS,
  json_field: WireKind.METRIC_KIND_JSON_FIELD,
  numeric: WireKind.METRIC_KIND_NUMERIC,
  lm_judge: WireKind.METRIC_KIND_LM_JUDGE,
  dspy: WireKind.METRIC_KIND_DSPY,
  python: WireKind.METRIC_KIND_PYTHON,
};

/** A metric as a request brings it; it is to be checked by `checkMetric`. INVALID_REQUEST if there is none, or of no kind. */
export function fromWireMetric(metric: WireMetric | undefined, root = 'metric'): Metric {
  if (metric === undefined) throw invalidField(root, 'is required', 'REQUIRED');
  const kind = (Object.keys(wireKinds) as MetricKind[]).find((name) => wireKinds[name] === metric.kind);
  if (kind === undefined) throw invalidField(`${root}.kind`, 'is required', 'REQUIRED');
  const { field, expectedField, tolerance, path, lm, instructions, threshold, name, verbatim, timeoutMs } = metric;
  const { arguments: given } = metric;
  return {
    kind,
    ...(field === '' ? {} : { field }),
    ...(expectedField === '' ? {} : { expected_field: expectedField }),
    ...(tolerance === undefined ? {} : { tolerance: { absolute: tolerance.absolute, relative: tolerance.relative } }),
    ...(path === '' ? {} : { path }),
    ...(lm === '' ? {} : { lm }),
    ...(instructions === '' ? {} : { instructions }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(name === '' ? {} : { name }),
    ...(given === undefined ? {} : { arguments: given as Record<string, unknown> }),
    ...(verbatim ? { verbatim } : {}),
    ...(timeoutMs === 0n ? {} : { timeout_ms: Number(timeoutMs) }),
  };
}

/** A metric as callers see it. */
export function toWireMetric(metric: Metric): WireMetric {
  return {
    kind: wireKinds[metric.kind],
    field: metric.field ?? '',
    expectedField: metric.expected_field ?? '',
    tolerance: metric.tolerance,
    path: metric.path ?? '',
    lm: metric.lm ?? '',
    instructions: metric.instructions ?? '',
    threshold: metric.threshold,
    name: metric.name ?? '',
    arguments: metric.arguments,
    verbatim: metric.verbatim ?? false,
    timeoutMs: BigInt(metric.timeout_ms ?? 0),
  };
}
