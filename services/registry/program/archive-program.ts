import { requireEtag } from '../check/etag.ts';
import { type ProgramView, programNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Names a program, and the state of it that the caller saw. */
export type NamedProgram = { readonly program: string; readonly etag: string };

/** Takes a program out of use for good, from any state; repeating it is no error. Fails with PROGRAM_NOT_FOUND and ETAG_MISMATCH. */
export async function archiveProgram(
  deps: { readonly programs: ProgramStore },
  input: NamedProgram,
): Promise<ProgramView> {
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  if (program.status === 'archived') return deps.programs.view(program);
  requireEtag(program, input.etag);
  // A preparation that still runs loses its token.
  const archived = await deps.programs.change(program, {
    status: 'archived',
    fencingToken: program.fencingToken + 1,
    transitionUntil: null,
  });
  return deps.programs.view(archived);
}
