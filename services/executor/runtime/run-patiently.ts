import { normalizeError } from '@signet/kit/error/normalize.ts';
import { pauseOrThrow } from '@signet/kit/pause.ts';
import type { Engine, EngineRun, RunContext } from '../engine/engine.ts';
import { workerLossMax } from '../execution/execution.ts';
import type { Ending } from '../execution/live.ts';
import { type BegunExecution, type RunDeps, runExecution } from './run-execution.ts';

const waitFirstMs = 100;
const waitMaxMs = 2_000;
const lossPauseMs = 500;

/**
 * Runs a detached execution: nobody waits on the line, so an engine that is not there is waited for until the deadline, and a run whose
 * worker was lost is run again on one of its own, up to the budget of losses.
 */
export async function runPatiently(deps: RunDeps, begun: BegunExecution): Promise<Ending> {
  const counts = { attempts: begun.attempts, workerLosses: begun.workerLosses };
  const { engine } = begun.plan;
  const patient: Engine = {
    name: engine.name,
    ...(engine.settlesItself === undefined ? {} : { settlesItself: engine.settlesItself }),
    ready: () => engine.ready(),
    prepare: (program, ctx) => engine.prepare(program, ctx),
    run: (program, inputs, inputsJson, ctx) => insist(() => engine.run(program, inputs, inputsJson, ctx), ctx, counts),
    close: () => engine.close(),
  };
  return runExecution(deps, {
    ...begun,
    plan: { ...begun.plan, engine: patient },
    get attempts() {
      return counts.attempts;
    },
    get workerLosses() {
      return counts.workerLosses;
    },
  });
}

type Counts = { attempts: number; workerLosses: number };

async function insist(run: () => Promise<EngineRun>, ctx: RunContext, counts: Counts): Promise<EngineRun> {
  for (let waits = 0; ; ) {
    try {
      return await run();
    } catch (error) {
      const { reason, metadata } = normalizeError(error);
      // A step had patience and losses of its own, and the run that failed with it has been undone.
      if (ctx.signal.aborted || metadata.step !== undefined) throw error;
      if (reason === 'WORKER_LOST') {
        counts.workerLosses++;
        if (counts.workerLosses >= workerLossMax) throw error;
        counts.attempts++;
        // It may have been the cause: it does not meet others again.
        ctx.alone = true;
        ctx.lmCalls?.rewind();
        // Where one worker went others may be going: the pool gets time to see it.
        await pauseOrThrow(lossPauseMs * counts.workerLosses, ctx.signal);
      } else if (reason === 'ENGINE_UNAVAILABLE' || reason === 'QUEUE_FULL') {
        await pauseOrThrow(Math.min(waitFirstMs * 2 ** waits++, waitMaxMs), ctx.signal);
      } else {
        throw error;
      }
    }
  }
}
