import { normalizeError } from '@signet/kit/error/normalize.ts';
import { pause } from '@signet/kit/pause.ts';
import type { Pipeline, Step } from '@signet/pipeline/pipeline.ts';
import type { RunContext } from '../engine/engine.ts';
import { isEnd } from '../execution/execution.ts';
import { cancelledFault } from '../execution/lease.postgres.ts';
import type { StepOutcome } from '../execution/store.postgres.ts';
import { followExecution } from '../runtime/follow-execution.ts';
import { undoIds } from './all-steps.ts';
import { metricsOf } from './figures.ts';
import type { PipelineRun } from './pipeline-run.ts';
import type { PipelineDeps } from './pipelines.ts';
import { recall } from './recall.ts';

const databaseWaitMs = 250;

/**
 * The undo steps of what ended well, in the order in which they are to run. Of a run that others have begun, what they left open is ended
 * first, and what they have undone is left out; the run learns what their steps gave.
 */
export async function stepsToUndo(
  deps: PipelineDeps,
  run: PipelineRun,
  ctx: RunContext,
  signal: AbortSignal,
): Promise<readonly Step[]> {
  const { input } = run;
  let ended: readonly Step[] = run.ended;
  let isDone = async (_: Step): Promise<boolean> => false;
  // Who began it knew more of it than we do.
  if (input.known.length > 0) {
    const outcomes = await endedOutcomes(deps, run, ctx, signal);
    if (run.stepCount === 0) countTaken(outcomes, input.pipeline, ctx);
    const recalled = await recall(input, outcomes);
    for (const [id, result] of recalled.results) run.results.set(id, result);
    ({ ended, isDone } = recalled);
  }
  // A step of a group that was tried anew may have ended well more than once.
  const last = new Set([...ended].reverse());
  const undos: Step[] = [];
  for (const { undo } of last) if (undo !== undefined && !(await isDone(undo))) undos.push(undo);
  return undos;
}

/** What came of every step that was begun. What is still open is ended first, but for what undoes others: that is waited for. */
async function endedOutcomes(
  deps: PipelineDeps,
  { input }: PipelineRun,
  { executionId, trace }: RunContext,
  signal: AbortSignal,
): Promise<readonly StepOutcome[]> {
  const undoing = undoIds(input.pipeline);
  for (;;) {
    const outcomes = await patiently(() => deps.store.outcomes(executionId), signal);
    const open = outcomes.filter(({ status }) => !isEnd(status));
    if (open.length === 0) return outcomes;
    const end = async ({ id, step }: StepOutcome): Promise<void> => {
      if (!undoing.has(step)) await patiently(() => deps.leases.cancel(id, cancelledFault), signal);
      await followExecution(deps, id, { signal, trace, deadlineMs: undefined });
    };
    await Promise.all(open.map(end));
  }
}

// Of what no step here has looked at again.
function countTaken(outcomes: readonly StepOutcome[], pipeline: Pipeline, { lmCalls }: RunContext): void {
  for (const { step, status, metricsJson } of outcomes) {
    if (!undoIds(pipeline).has(step) || status === 'completed') lmCalls?.include?.(metricsOf(metricsJson));
  }
}

async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (normalizeError(error).reason !== 'DATABASE_UNAVAILABLE') throw error;
      if (signal.aborted) throw signal.reason;
      await pause(databaseWaitMs, signal);
    }
  }
}
