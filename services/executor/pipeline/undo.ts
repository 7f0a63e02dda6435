import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { RunContext } from '../engine/engine.ts';
import { undoIds } from './all-steps.ts';
import type { PipelineRun } from './pipeline-run.ts';
import type { PipelineDeps } from './pipelines.ts';
import { failureOf } from './step-failure.ts';
import { stepsToUndo } from './steps-to-undo.ts';

const undoMs = 30_000;

/** What is to be undone and why. */
export type Undo = { readonly run: PipelineRun; readonly failure: unknown };

/**
 * Runs the undo steps of what ended well, last first, each with a time of its own (what it says, else 30 s) that begins then, whatever
 * became of the run's. One that fails keeps no other from running and hides nothing. A run that goes on elsewhere is undone there; of one
 * that others began, what they left open is ended first, and what they have undone is not undone again.
 */
export async function undoSteps(deps: PipelineDeps, { run, failure }: Undo, ctx: RunContext): Promise<void> {
  const { pipeline } = run.input;
  if (undoIds(pipeline).size === 0 || isHandedOn(failure, ctx)) return;
  const error = failureOf(failure);
  const stop = new AbortController();
  const leave = (): void => {
    if (isLeft(ctx.signal.reason)) stop.abort(ctx.signal.reason);
  };
  ctx.signal.addEventListener('abort', leave);
  try {
    requireOurs(ctx);
    for (const undo of await stepsToUndo(deps, run, ctx, stop.signal)) {
      requireOurs(ctx);
      const within = { signal: stop.signal, deadlineMs: Date.now() + (undo.timeoutMs ?? undoMs), salt: '', error };
      await run.try(undo, within).catch((second: unknown) => {
        if (stop.signal.aborted || isLeft(second)) throw second;
        const { reason } = normalizeError(second);
        deps.log.warn({ execution_id: ctx.executionId, step: undo.id, reason }, 'an undo step failed');
      });
    }
    await run.children.settled();
  } finally {
    ctx.signal.removeEventListener('abort', leave);
  }
}

function requireOurs(ctx: RunContext): void {
  if (ctx.isLost?.() === true) throw new AppError('WORKER_LOST', 'The execution was taken over by another process');
}

/** True for a run that another process goes on with; one that was lost too often ends here. */
function isHandedOn(failure: unknown, ctx: RunContext): boolean {
  const isGivenUp = failure === ctx.signal.reason && ctx.isLost?.() !== true;
  return isLeft(failure) && !(isGivenUp && normalizeError(failure).reason === 'WORKER_LOST');
}

function isLeft(failure: unknown): boolean {
  const { reason, metadata } = normalizeError(failure);
  return reason === 'SHUTTING_DOWN' || (reason === 'WORKER_LOST' && metadata.step === undefined);
}
