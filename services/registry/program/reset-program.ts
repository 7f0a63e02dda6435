import { requireEtag } from '../check/etag.ts';
import type { NamedProgram } from './archive-program.ts';
import { type ProgramView, programNotFound, stateForbids } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Moves a program from ERROR back to DRAFT. Fails with PROGRAM_NOT_FOUND, ETAG_MISMATCH and STATE_FORBIDS. */
export async function resetProgram(
  deps: { readonly programs: ProgramStore },
  input: NamedProgram,
): Promise<ProgramView> {
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  requireEtag(program, input.etag);
  if (program.status !== 'error') {
    throw stateForbids('Only programs in error can be reset', program.status, 'reset');
  }
  const draft = await deps.programs.change(program, {
    status: 'draft',
    errorMessage: '',
    dspyProgramId: '',
    servingVersion: 0,
  });
  return deps.programs.view(draft);
}
