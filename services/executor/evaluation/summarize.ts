import { type Interval, studentInterval, wilsonInterval } from './statistics.ts';

/** What all scores of an evaluation come to in the database, each by its weight. */
export type Totals = {
  readonly count: number;
  readonly mean: number;
  /** The sample's standard deviation; 0 for a single score. */
  readonly deviation: number;
  /** How many of equal weight tell as much; see `weightedSpread`. */
  readonly effectiveCount: number;
  /** True if every score is 0 or 1. */
  readonly isBinary: boolean;
  readonly latencyP50Ms: number | undefined;
  readonly latencyP95Ms: number | undefined;
};

/** What needs all results, as it is kept with the evaluation. */
export type Figures = {
  readonly ci_low: number;
  readonly ci_high: number;
  readonly ci_method: 'wilson' | 't';
  readonly standard_deviation: number;
  /** Absent from evaluations that ended before weights counted. */
  readonly effective_count?: number;
  readonly latency_p50_ms?: number;
  readonly latency_p95_ms?: number;
};

/**
 * The figures of an evaluation: the mean's 95 % interval by Wilson where all scores are 0 or 1, which is honest for few examples and where
 * all are right, else by Student's t, cut to 0..1. Undefined without results.
 */
export function summarize(totals: Totals): Figures | undefined {
  const { count, mean, deviation, effectiveCount, isBinary, latencyP50Ms, latencyP95Ms } = totals;
  if (count === 0) return undefined;
  const { low, high }: Interval = isBinary
    ? wilsonInterval(mean, effectiveCount)
    : studentInterval(mean, deviation, effectiveCount);
  return {
    ci_low: Math.max(0, low),
    ci_high: Math.min(1, high),
    ci_method: isBinary ? 'wilson' : 't',
    standard_deviation: deviation,
    effective_count: effectiveCount,
    ...(latencyP50Ms === undefined ? {} : { latency_p50_ms: latencyP50Ms }),
    ...(latencyP95Ms === undefined ? {} : { latency_p95_ms: latencyP95Ms }),
  };
}
