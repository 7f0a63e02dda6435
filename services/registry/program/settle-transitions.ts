import { errorTurn, followProgram } from '../module/follow-program.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import type { ProgramStore } from './store.postgres.ts';

/** What a program whose preparation was lost says of itself. */
export const interruptedMessage = 'initialization was interrupted';

/** Ends transitions that were not renewed in time as ERROR; gives back how many. Late ends of them find a stale token. */
export async function settleTransitions(deps: {
  readonly programs: ProgramStore;
  readonly modules: ModuleStore;
}): Promise<number> {
  const expired = await deps.programs.lockExpired();
  for (const program of expired) {
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
