import { errorTurn, followProgram } from '../module/follow-program.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import { backToReady } from './finish-optimize.ts';
import type { ProgramStore } from './store.postgres.ts';

/** What a program whose preparation was lost says of itself. */
export const interruptedMessage = 'initialization was interrupted';

/** What the history says of an optimization that nobody kept alive. */
export const interruptedOptimization = 'optimization was interrupted';

/**
 * Ends transitions that were not renewed in time, preparations as ERROR, optimizations as READY with an entry in the history; gives back how
 * many. Late ends of them find a stale token.
 */
export async function settleTransitions(deps: {
  readonly programs: ProgramStore;
  readonly modules: ModuleStore;
}): Promise<number> {
  const expired = await deps.programs.lockExpired();
  for (const program of expired) {
    if (program.status === 'optimizing') {
      const entry = {
        job_id: program.optimizingJob ?? '',
        status: 'interrupted',
        error: interruptedOptimization,
        finished_at: new Date().toISOString(),
      };
      await backToReady(deps, program, entry, {});
      continue;
    }
    await followProgram(deps, program, errorTurn(interruptedMessage));
    await deps.programs.change(program, {
      status: 'error',
      errorMessage: interruptedMessage,
      fencingToken: program.fencingToken + 1,
      transitionUntil: null,
    });
  }
  return expired.length;
}
