import { followProgram } from '../module/follow-program.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import { type Program, programNotFound, stateForbids } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** How long a transition lives without being renewed. */
export const transitionMs = 60_000;

/**
 * Moves a program from DRAFT to INITIALIZING and gives it a fresh fencing token; of many callers one wins. Fails with
 * PROGRAM_NOT_FOUND and STATE_FORBIDS (`Only draft programs can be initialized`).
 */
export async function beginInitialize(
  deps: { readonly programs: ProgramStore; readonly modules: ModuleStore },
  input: { readonly program: string },
): Promise<Program> {
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  if (program.status !== 'draft') {
    throw stateForbids('Only draft programs can be initialized', program.status, 'initialize');
  }
  await deps.programs.renew(program.id, transitionMs);
  await followProgram(deps, program, { kind: 'initializing' });
  return deps.programs.change(program, {
    status: 'initializing',
    fencingToken: program.fencingToken + 1,
    errorMessage: '',
  });
}
