import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { isReason } from '@signet/kit/error/reasons.ts';
import { isRegistryAway } from '../catalog/catalog.ts';
import { awaitEvaluation } from '../evaluation/await-evaluation.ts';
import { type CancelEvaluationDeps, cancelEvaluation } from '../evaluation/cancel-evaluation.ts';
import { type StartDeps, startEvaluation } from '../evaluation/start-evaluation.ts';
import { childId } from '../execution/child-id.ts';
import type { Job } from './optimization.ts';
import type { StepContext } from './run-step.ts';
import { jobContext } from './settle-job.ts';

/** What measuring needs. */
export type MeasureDeps = StartDeps & CancelEvaluationDeps;

const startMaxMs = 90_000;
const lookAgainMs = 500;

/** The evaluation by which a job measures, before or after; the same for every process that works on it. */
export function evaluationIdOf(jobId: string, when: 'before' | 'after'): string {
  return childId(jobId, `evaluation ${when}`);
}

/**
 * What a version scores on the job's held-out examples: an ordinary evaluation, which survives the death of any process and is found again.
 * Cancelled with the job. Fails with what the evaluation failed with.
 */
export async function measureVersion(
  deps: MeasureDeps,
  { job, version, when }: { job: Job; version: number; when: 'before' | 'after' },
  ctx: StepContext,
): Promise<{ readonly evaluationId: string; readonly score: number }> {
  const id = evaluationIdOf(job.id, when);
  const input = {
    ...{ id, program: job.programId, version, dataset: job.datasetId, datasetVersion: job.datasetVersion },
    ...({ isBegun: true, splits: job.splits.test, metric: job.metric, options: {}, concurrency: 0 } as const),
    labels: { optimization_job: job.id, measured: when },
  };
  await insist(
    () => startEvaluation(deps, input, { ...jobContext(ctx.signal, ctx.trace, startMaxMs), principal: undefined }),
    ctx.signal,
  );
  try {
    const { status, mean, error } = await awaitEvaluation(deps, id, ctx.signal);
    if (status === 'completed') return { evaluationId: id, score: mean ?? 0 };
    const reason = error !== undefined && isReason(error.reason) ? error.reason : 'INTERNAL';
    throw new AppError(reason, `The program could not be measured: ${error?.message ?? status}`);
  } catch (error) {
    if (ctx.signal.aborted && isForGood(ctx.signal)) {
      await cancelEvaluation(deps, id, AbortSignal.timeout(1)).catch(() => undefined);
    }
    throw error;
  }
}

// A process that is going leaves the evaluation to whoever takes the job over.
function isForGood(signal: AbortSignal): boolean {
  return signal.reason instanceof AppError && signal.reason.reason === 'CANCELLED';
}

/** Tries again while the registry is away. */
export async function insist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!isRegistryAway(normalizeError(error).reason)) throw error;
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs));
    }
  }
}
