import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { DatasetClient, DatasetExample } from '../dataset/datasets.grpc.ts';
import { faultOf } from '../execution/fault.ts';
import { createScorer, type Scorer } from '../metric/score.ts';
import { planCall } from '../runtime/plan-call.ts';
import type { OwnedDeps } from '../runtime/run-owned.ts';
import { type CheckMetricDeps, endpointOf } from './check-fit.ts';
import { type Evaluation, evaluationMaxMs } from './evaluation.ts';
import type { EvaluationClaim, EvaluationEnd, EvaluationLeases } from './lease.postgres.ts';
import { ResultWriter } from './result-writer.ts';
import { type ExampleDeps, runExample } from './run-example.ts';
import { summarize } from './summarize.ts';

/** What running evaluations needs. */
export type EvaluateDeps = OwnedDeps &
  CheckMetricDeps &
  ExampleDeps & {
    readonly datasets: DatasetClient;
    readonly evaluationLeases: EvaluationLeases;
  };

const pageExamples = 200;
const lossMax = 10;

/** One process's turn with an evaluation. */
export type Turn = {
  /** Aborted when it is to end: for good, or here. */
  readonly stop: AbortController;
  /** True once no further example is to be begun here. */
  readonly isLeaving: () => boolean;
};

/**
 * Goes on with an evaluation behind its last result until every example has one, and writes its end. An abort with CANCELLED ends it so;
 * with any other reason, and where a database or the registry is away, it throws: somebody goes on with it later.
 */
export async function runEvaluation(deps: EvaluateDeps, claim: EvaluationClaim, turn: Turn): Promise<void> {
  const { evaluation, token } = claim;
  const { stop } = turn;
  const held = { id: evaluation.id, token };
  let end: Pick<EvaluationEnd, 'status' | 'fault'>;
  try {
    if (evaluation.cancelRequested) throw new AppError('CANCELLED', 'The evaluation was cancelled');
    if (claim.losses < lossMax) await runAll(deps, claim, turn);
    end = claim.losses < lossMax ? { status: 'completed', fault: undefined } : lostTooOften();
  } catch (error) {
    const reason = stop.signal.aborted ? stop.signal.reason : error;
    if (isPassing(reason)) throw reason;
    const fault = faultOf(reason);
    if (fault.reason === 'INTERNAL')
      deps.log.error({ err: reason, evaluation_id: evaluation.id }, 'an evaluation broke');
    end = { status: fault.reason === 'CANCELLED' ? 'cancelled' : 'failed', fault };
  }
  const totals = await deps.evaluationLeases.totals(evaluation.id);
  const mean = totals.count === 0 ? undefined : totals.mean;
  await deps.evaluationLeases.finish(held, { ...end, figures: summarize(totals), mean });
}

function lostTooOften(): Pick<EvaluationEnd, 'status' | 'fault'> {
  const lost = new AppError('WORKER_LOST', `${lossMax} processes that ran the evaluation were lost`);
  return { status: 'failed', fault: faultOf(lost) };
}

async function runAll(deps: EvaluateDeps, claim: EvaluationClaim, turn: Turn): Promise<void> {
  const { evaluation, token } = claim;
  const { stop } = turn;
  const ctx = contextOf(evaluation, stop.signal);
  const scorer = await scorerOf(deps, evaluation, ctx);
  const done = claim.evaluation.attempts > 1 ? await deps.evaluationLeases.done(evaluation.id) : new Set<number>();
  const writer = new ResultWriter(async (rows) => {
    if (await deps.evaluationLeases.add({ id: evaluation.id, token }, rows)) return;
    throw new AppError('WORKER_LOST', 'The evaluation was taken over by another process');
  });
  const overMs = (evaluation.startTime ?? new Date()).getTime() + evaluationMaxMs - Date.now();
  const timer = setTimeout(() => stop.abort(tooLong()), Math.max(overMs, 0));
  try {
    await runPool(evaluation.concurrency, remaining(deps, evaluation, done, ctx), turn, async (example) => {
      try {
        const isNew = claim.evaluation.attempts === 1;
        await writer.add(await runExample(deps, { evaluation, example, scorer, isNew }, ctx));
      } catch (error) {
        stop.abort(error instanceof AppError ? error : normalizeError(error));
      }
    });
  } finally {
    clearTimeout(timer);
  }
  if (stop.signal.aborted) throw stop.signal.reason;
  if (turn.isLeaving()) throw new AppError('SHUTTING_DOWN', 'The executor is shutting down');
}

function contextOf({ traceparent, keyId }: Evaluation, signal: AbortSignal): LookupContext {
  return {
    signal,
    deadlineMs: undefined,
    trace: contextFromTraceparent(traceparent),
    ...(keyId === '' ? {} : { principal: { keyId, name: '', role: 'runner' as const } }),
  };
}

async function scorerOf(deps: EvaluateDeps, evaluation: Evaluation, ctx: LookupContext): Promise<Scorer> {
  const { programId: program, version, metric } = evaluation;
  const call = { program, options: { ...evaluation.options, version }, labels: {}, metadata: undefined };
  const { lm } = await planCall(deps, call, ctx, true);
  const endpoint = await endpointOf(deps, metric, lm, ctx);
  return createScorer(
    { engines: deps.engines, lm: deps.lmClient, tracer: deps.telemetry.tracer, endpoint, ...deps.reading },
    metric,
  );
}

/** The examples that have no result, a page at a time: a stream over hours would hold what the registry reads from. */
async function* remaining(
  { datasets }: EvaluateDeps,
  { datasetId: dataset, datasetVersion: version, splits }: Evaluation,
  done: ReadonlySet<number>,
  ctx: LookupContext,
): AsyncGenerator<DatasetExample> {
  for (let afterPosition = 0; ; ) {
    let count = 0;
    for (const example of await readPage(
      datasets,
      { dataset, version, splits, afterPosition, limit: pageExamples },
      ctx,
    )) {
      count += 1;
      afterPosition = example.position;
      if (!done.has(example.position)) yield example;
    }
    if (count < pageExamples) return;
  }
}

async function readPage(
  datasets: DatasetClient,
  query: Parameters<DatasetClient['read']>[0],
  ctx: LookupContext,
): Promise<DatasetExample[]> {
  const page: DatasetExample[] = [];
  for await (const example of datasets.read(query, { ...ctx, deadlineMs: Date.now() + 60_000 })) page.push(example);
  return page;
}

/** Has so many at work at once; takes nothing more once the turn is over, and resolves when all have ended. Throws what the source throws. */
async function runPool<T>(
  size: number,
  source: AsyncGenerator<T>,
  turn: Turn,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const worker = async (): Promise<void> => {
    while (!isOver(turn)) {
      const next = await source.next();
      if (next.done === true || isOver(turn)) return;
      await work(next.value);
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: size }, worker));
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
}

function isOver({ stop, isLeaving }: Turn): boolean {
  return stop.signal.aborted || isLeaving();
}

function tooLong(): AppError {
  return new AppError('DEADLINE_EXCEEDED', `The evaluation took longer than ${evaluationMaxMs / 3_600_000} hours`);
}

// What stood in the way may be gone at another attempt; all else would be met again.
const passing: ReadonlySet<string> = new Set([
  'DATABASE_UNAVAILABLE',
  'SERVICE_UNAVAILABLE',
  'ENGINE_UNAVAILABLE',
  'QUEUE_FULL',
  'SHUTTING_DOWN',
  'WORKER_LOST',
]);

function isPassing(error: unknown): boolean {
  return passing.has(normalizeError(error).reason);
}
