import { requireEtag } from '../check/etag.ts';
import { programNotFound, stateForbids } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Names a program to delete, and the state of it that the caller saw. */
export type DeleteProgramInput = { readonly program: string; readonly force: boolean; readonly etag: string };

/**
 * Deletes a program from DRAFT, ERROR or ARCHIVED, or from any state with `force`. A tombstone stays for its executions; its slug is
 * free. Fails with PROGRAM_NOT_FOUND, ETAG_MISMATCH and STATE_FORBIDS.
 */
export async function deleteProgram(
  deps: { readonly programs: ProgramStore },
  input: DeleteProgramInput,
): Promise<void> {
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  requireEtag(program, input.etag);
  const isIdle = ['draft', 'error', 'archived'].includes(program.status);
  if (!isIdle && !input.force) {
    const message = `Only draft, archived and failed programs can be deleted without force (status: ${program.status})`;
    throw stateForbids(message, program.status, 'delete');
  }
  // A preparation that still runs loses its token.
  await deps.programs.change(program, {
    deleteTime: new Date(),
    fencingToken: program.fencingToken + 1,
    transitionUntil: null,
  });
}
