import { type Preparation, programNotFound, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** What an engine made of a version. */
export type PutPreparationInput = {
  readonly programId: string;
  readonly version: number;
  readonly preparation: Preparation;
};

/**
 * Stores what an engine made of a version under one dialect, and gives back what is stored then: the first answer stays. Fails with
 * PROGRAM_NOT_FOUND and VERSION_NOT_FOUND.
 */
export async function putPreparation(
  deps: { readonly programs: ProgramStore },
  input: PutPreparationInput,
): Promise<Preparation> {
  const program = await deps.programs.lock(input.programId);
  if (program === undefined) throw programNotFound(input.programId);
  const version = await deps.programs.version(program.id, input.version);
  if (version === undefined) throw versionNotFound(program.id, input.version);
  const stored = await deps.programs.putPreparation(version.id, input.preparation);
  await deps.programs.change(program, {});
  return stored;
}
