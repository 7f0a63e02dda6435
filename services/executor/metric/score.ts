import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { type Engines, requireEngine } from '../engine/choose-engine.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { createJudge, type JudgeDeps, judgeInputs, judgeProgram } from './lm-judge.ts';
import { type Metric, metricTimeoutMs } from './metric.ts';
import { MetricCalls, noFigures } from './metric-calls.ts';
import { type MetricRun, type MetricRunContext, runMetric } from './run-metric.ts';
import { isRule, scoreByRule } from './score-by-rule.ts';
import { type Score, type Scored, ScoreError, type ScoreFault, type ScoreInput } from './scored.ts';
import { metricInputs, metricProgram } from './sidecar-metric.ts';

/** What scoring needs. */
export type ScorerDeps = JudgeDeps & {
  readonly engines: Engines;
  /** Whom a metric asks that asks a language model; undefined makes such a metric fail with LM_NOT_CONFIGURED. */
  readonly endpoint: LmEndpoint | undefined;
};

/** What surrounds the scoring of one answer. */
export type ScoreContext = {
  /** Ends it: then `score` throws its reason. */
  readonly signal: AbortSignal;
  /** The span below which calls of language models stand. */
  readonly trace?: Context;
  /** Which execution gave the answer, for logs and spans. */
  readonly executionId?: string;
};

/** Scores answers by one metric. */
export type Scorer = {
  /**
   * Scores one answer within the metric's time. A metric that throws, gives no score or hangs is an `error` with the score 0; throws only
   * when the context's signal is aborted.
   */
  score(input: ScoreInput, ctx: ScoreContext): Promise<Scored>;
};

const messageMax = 2_000;
const waitMaxMs = 600_000;

/** Makes the scorer of a metric that was checked. */
export function createScorer(deps: ScorerDeps, metric: Metric): Scorer {
  const run = runnerOf(deps, metric);
  return {
    async score(input, ctx) {
      const calls = new MetricCalls();
      try {
        const scored = isRule(metric.kind)
          ? scoreByRule({ ...metric, kind: metric.kind }, input)
          : await inTime(metric, ctx, (within) =>
              runMetric(
                { ...run(input), lmCalls: calls, executionId: ctx.executionId ?? '' },
                { ...within, trace: ctx.trace ?? ROOT_CONTEXT },
              ),
            );
        return { ...cutOff(scored, metric.threshold), figures: calls.figures };
      } catch (error) {
        if (ctx.signal.aborted) throw ctx.signal.reason;
        return { score: 0, feedback: '', error: scoreFault(error), figures: calls.figures };
      }
    },
  };
}

/** A result for an answer that there is not. */
export function unscored(error: ScoreFault): Scored {
  return { score: 0, feedback: '', error, figures: noFigures };
}

function runnerOf(deps: ScorerDeps, metric: Metric): (input: ScoreInput) => Omit<MetricRun, 'lmCalls' | 'executionId'> {
  const { endpoint: lm, engines } = deps;
  const { kind } = metric;
  if (kind === 'lm_judge') {
    const engine = createJudge(deps);
    return (input) => ({ engine, program: judgeProgram, inputs: judgeInputs(metric, input), lm });
  }
  if (kind === 'dspy' || kind === 'python') {
    const program = metricProgram({ ...metric, kind });
    return (input) => ({ engine: requireEngine(engines, 'python'), program, inputs: metricInputs(input), lm });
  }
  return () => {
    throw new Error(`${kind} is scored here`);
  };
}

function cutOff({ score, feedback }: Score, threshold: number | undefined): Score {
  if (threshold === undefined) return { score, feedback };
  return { score: score >= threshold ? 1 : 0, feedback };
}

/**
 * Bounds a metric's own time. What it waits for a place does not count: where one example hangs the others would be late for nothing.
 * Waiting has a bound of its own.
 */
async function inTime(
  { timeout_ms: timeoutMs = metricTimeoutMs }: Metric,
  ctx: ScoreContext,
  run: (within: Omit<MetricRunContext, 'trace'>) => Promise<Score>,
): Promise<Score> {
  const late = new AbortController();
  const signal = AbortSignal.any([ctx.signal, late.signal]);
  const given = Promise.withResolvers<never>();
  const stop = (): void => given.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  const lateAfter = (ms: number, message: string) =>
    setTimeout(() => late.abort(new AppError('DEADLINE_EXCEEDED', message)), ms);
  let timer: NodeJS.Timeout | undefined;
  const onWaiting = (): void => {
    clearTimeout(timer);
    timer = lateAfter(waitMaxMs, `The metric found no place within ${waitMaxMs} ms`);
  };
  const onBegun = (): void => {
    clearTimeout(timer);
    timer = lateAfter(timeoutMs, `The metric gave no score within ${timeoutMs} ms`);
  };
  onWaiting();
  try {
    const running = run({ signal, deadlineMs: Date.now() + 3 * (waitMaxMs + timeoutMs), onWaiting, onBegun });
    // An engine that does not come back is left behind.
    running.catch(() => {});
    return await Promise.race([running, given.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

function scoreFault(error: unknown): ScoreFault {
  if (error instanceof ScoreError) return { reason: error.reason, message: error.message.slice(0, messageMax) };
  const { reason, message } = normalizeError(error);
  // What a user's metric raised is the metric's failure, whatever the sidecar calls it.
  const told = reason === 'MODULE_FAILED' ? 'METRIC_FAILED' : reason;
  return { reason: told, message: message.slice(0, messageMax).toWellFormed().replaceAll('\u0000', '') };
}
