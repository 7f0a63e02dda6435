import type { Context } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { EngineProgram, LmEndpoint } from '../engine/engine.ts';
import type { Scorer } from '../metric/score.ts';
import type { OptimizerExamples } from '../sidecar/optimizer-examples.ts';
import type { OptimizeInput, OptimizerHost } from '../sidecar/optimizer-host.ts';
import type { LmRole, OptimizerListener, ToldProgress, ToldTrial } from '../sidecar/optimizer-session.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import { toolsOf } from '../tool/tool.ts';
import { isExhausted } from './beacon.ts';
import { BestSoFar, type Candidate } from './best-so-far.ts';
import { type Budget, exceeded } from './budget.ts';
import type { MeteredLm } from './metered-lm.ts';
import type { Job } from './optimization.ts';

/** What one step of a job needs. */
export type StepDeps = {
  readonly host: OptimizerHost;
  readonly tools: ToolCaller;
  readonly lm: MeteredLm;
  readonly budget: Budget;
  readonly scorer: Scorer;
};

/** What all steps of a job have in common. */
export type StepGround = {
  readonly job: Job;
  readonly program: EngineProgram;
  readonly examples: OptimizerExamples;
  readonly endpoints: Readonly<Record<LmRole, LmEndpoint>>;
};

/** One optimizer with its settings, and where it begins. */
export type Step = {
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly stateJson: string;
  /** What its candidates are listed under; its kind if absent. */
  readonly label?: string;
};

/** Hears of what a step does. */
export type StepEvents = {
  onTrial(trial: ToldTrial): Promise<void>;
  onProgress(progress: ToldProgress): void;
  onLog(level: string, text: string): void;
};

/** What surrounds a step. */
export type StepContext = { readonly signal: AbortSignal; readonly trace: Context };

// Settings that are ours, not the optimizer's.
const ours = ['num_threads', 'prompt_lm', 'teacher_lm'];

/**
 * Runs one optimizer to its end. Where the budget ends it, what was best until then is given, with `isExhausted`; BUDGET_EXCEEDED if there
 * was nothing yet. Fails with what the optimizer failed with, and with the reason of an abort.
 */
export async function runStep(
  deps: StepDeps,
  ground: StepGround,
  step: Step,
  events: StepEvents,
  ctx: StepContext,
): Promise<Candidate & { readonly isExhausted: boolean }> {
  const best = new BestSoFar();
  const over = new AbortController();
  const signal = AbortSignal.any([ctx.signal, over.signal]);
  // What is under way may end first: it is paid for.
  const unwatch = deps.budget.whenSpent((cap) => over.abort(exceeded(cap)));
  const listener = listenerOf(
    deps,
    ground,
    {
      onTrial: (trial) => {
        best.offer(trial, trial.isFull);
        return events.onTrial(trial);
      },
      onProgress: events.onProgress,
      onLog: events.onLog,
    },
    ctx,
  );
  try {
    const end = await deps.host.optimize(inputOf(ground, step), listener, { signal, trace: ctx.trace });
    return { ...end, isExhausted: false };
  } catch (error) {
    if (!isExhausted(error)) throw error;
    if (best.candidate === undefined) throw error;
    return { ...best.candidate, isExhausted: true };
  } finally {
    unwatch();
  }
}

function inputOf({ job, program, examples, endpoints }: StepGround, step: Step): OptimizeInput {
  const config = fitted(step, examples);
  const threads = job.config.num_threads;
  const other = (role: LmRole): LmEndpoint | undefined =>
    endpoints[role] === endpoints.task ? undefined : endpoints[role];
  return {
    jobId: job.id,
    ...{ program, examples, stateJson: step.stateJson, kind: step.kind },
    config: Object.fromEntries(Object.entries(config).filter(([name]) => !ours.includes(name))),
    metric: job.metric,
    seed: job.seed,
    threads: typeof threads === 'number' ? threads : 1,
    lm: endpoints.task,
    promptLm: other('prompt'),
    teacherLm: other('teacher'),
    metricLm: other('metric'),
  };
}

// DSPy refuses steps that look at more examples than there are.
function fitted({ kind, config }: Step, { train, val }: OptimizerExamples): Record<string, unknown> {
  if (kind === 'simba') return { ...config, bsize: Math.min(Number(config.bsize ?? 32), train.length) };
  if (kind === 'mipro') {
    const size = Math.min(Number(config.minibatch_size ?? 35), val.length);
    const auto = config.num_trials === undefined ? {} : { auto: null };
    return { ...config, ...auto, minibatch_size: size };
  }
  return { ...config };
}

function listenerOf(
  { lm, tools, scorer, budget }: StepDeps,
  { program, endpoints }: StepGround,
  events: Pick<OptimizerListener, 'onTrial' | 'onProgress' | 'onLog'>,
  ctx: StepContext,
): OptimizerListener {
  const known = toolsOf(program.moduleConfig);
  return {
    ...events,
    complete: (role, request, traceparent) =>
      lm.complete(
        { ...request, endpoint: endpoints[role] },
        { signal: ctx.signal, deadlineMs: undefined, traceparent },
      ),
    async score({ inputsJson, expectedJson, outputsJson }) {
      const answer = {
        inputs: readObject(inputsJson),
        expected: readObject(expectedJson),
        outputs: readObject(outputsJson),
      };
      const { score, feedback, error } = await scorer.score(answer, { signal: ctx.signal, trace: ctx.trace });
      // A judge that may not be asked any more has not judged.
      if (budget.exhausted !== undefined && error?.reason === 'BUDGET_EXCEEDED') throw exceeded(budget.exhausted);
      return { score, feedback, error: error === undefined ? '' : `${error.reason}: ${error.message}` };
    },
    callTool: (name, argsJson, trace) =>
      tools.call(known.get(name), name, argsJson, {
        signal: ctx.signal,
        deadlineMs: Date.now() + 600_000,
        trace,
      }),
  };
}

function readObject(text: string): JsonObject {
  if (text === '') return new Map();
  try {
    const value = parseJson(text);
    if (isObject(value)) return value;
  } catch {
    // Python writes NaN, which is no JSON: such an answer has no field that could be right.
  }
  return new Map();
}

/** The trace below which a job stands. */
export function traceOf(job: Job): Context {
  return contextFromTraceparent(job.traceparent);
}

/** The error of a job that lost its place. */
export function leaseLost(): AppError {
  return new AppError('WORKER_LOST', 'The job was taken over by another process');
}
