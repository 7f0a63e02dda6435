import type { Context } from '@opentelemetry/api';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { pauseOrThrow } from '@signet/kit/pause.ts';
import { isObject, JsonNumber, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { Engine, EngineEvent, EngineProgram, EngineRun, LmEndpoint, RunContext } from '../engine/engine.ts';
import type { LmCalls } from '../lm/language-model.ts';
import { type Score, ScoreError } from './scored.ts';

/** A metric that an engine runs. */
export type MetricRun = {
  readonly engine: Engine;
  readonly program: EngineProgram;
  readonly inputs: JsonObject;
  readonly lm: LmEndpoint | undefined;
  readonly lmCalls: LmCalls;
  readonly executionId: string;
};

/** What surrounds it. */
export type MetricRunContext = {
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly trace: Context;
  /** Told when it has a place and begins, each time that it does. */
  readonly onBegun: () => void;
  /** Told when it waits for a place again. */
  readonly onWaiting: () => void;
};

const feedbackMax = 10_000;
const lossMax = 3;
const waitMs = 250;
const retriesMax = 2;

/**
 * Has an engine score one answer; an engine that is not there is waited for until the deadline, and a metric that took three processes
 * with it is given up. Throws what the run failed with, and ScoreError for a score that is none.
 */
export async function runMetric(run: MetricRun, ctx: MetricRunContext): Promise<Score> {
  const { engine, program, inputs, lm, lmCalls, executionId } = run;
  const inputsJson = writeJson(inputs);
  const { onBegun, onWaiting, ...within } = ctx;
  const onEvent = (event: EngineEvent): void => {
    if (event.kind === 'step' && event.status === 'started') onBegun();
  };
  const surroundings: RunContext = {
    ...within,
    executionId,
    lm,
    lmCalls,
    onEvent,
    maxRetries: retriesMax,
    isBulk: true,
    wantsText: false,
  };
  return readScore(await insist(() => engine.run(program, inputs, inputsJson, surroundings), surroundings, onWaiting));
}

async function insist(run: () => Promise<EngineRun>, ctx: RunContext, onWaiting: () => void): Promise<EngineRun> {
  for (let losses = 0; ; ) {
    try {
      return await run();
    } catch (error) {
      const { reason } = normalizeError(error);
      if (ctx.signal.aborted) throw error;
      if (reason === 'WORKER_LOST') {
        if (++losses >= lossMax) throw error;
        ctx.alone = true;
      } else if (reason !== 'ENGINE_UNAVAILABLE' && reason !== 'QUEUE_FULL') {
        throw error;
      }
      onWaiting();
      await pauseOrThrow(waitMs, ctx.signal);
    }
  }
}

function readScore({ outputsJson }: EngineRun): Score {
  const outputs = parseJson(outputsJson);
  const score = isObject(outputs) ? outputs.get('score') : undefined;
  const number = score instanceof JsonNumber ? score.toNumber() : Number.NaN;
  // A judge is a stranger, and so is a worker that ran somebody's Python.
  if (!(number >= 0 && number <= 1)) {
    const shown = score instanceof JsonNumber ? score.text : 'no number';
    throw new ScoreError('METRIC_FAILED', `the metric gave ${shown}, which is not from 0 to 1`);
  }
  const words = isObject(outputs) ? (outputs.get('feedback') ?? outputs.get('reasoning')) : '';
  return { score: number, feedback: typeof words === 'string' ? words.slice(0, feedbackMax) : '' };
}
