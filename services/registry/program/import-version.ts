import { invalidField, invariant } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import type { GivenPayload } from './check-configuration.ts';
import { type Program, type ProgramVersion, programNotFound, stateForbids, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';
import { checkState, versionOfState } from './version-of-state.ts';

/** A saved DSPy program for a program. */
export type ImportVersionInput = {
  readonly program: string;
  readonly state: GivenPayload | 'pickle';
  /** `predict` or `chain_of_thought`; empty means the module of the newest version. */
  readonly module: string;
  readonly etag: string;
};

/**
 * Makes a new version out of what DSPy saved; the state itself is kept as it is. What decides a prompt is taken over (instructions,
 * descriptions, demos, options of the language model) or refused with its path, never left out in silence. Fails with PROGRAM_NOT_FOUND,
 * ETAG_MISMATCH, INVALID_REQUEST, and STATE_FORBIDS for archived programs.
 */
export async function importProgramVersion(
  deps: { readonly programs: ProgramStore },
  input: ImportVersionInput,
): Promise<{ readonly program: Program; readonly version: ProgramVersion }> {
  const checks = new FieldChecks();
  const state = checkState(input.state, checks);
  checks.done();
  invariant(state !== undefined, 'a state without faults was not read');
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  requireEtag(program, input.etag);
  if (program.status === 'archived') {
    throw stateForbids('Archived programs cannot be updated', program.status, 'update');
  }
  if (program.kind === 'pipeline') throw invalidField('program', 'runs a pipeline, which is not what DSPy saves');
  const newest = await deps.programs.version(program.id, program.latestVersion);
  if (newest === undefined) throw versionNotFound(program.id, program.latestVersion);
  const made = versionOfState({ base: newest, module: input.module, state }, checks);
  checks.done();
  const latestVersion = await deps.programs.addVersion(program, { ...made, source: 'import' });
  const changed = await deps.programs.change(program, { latestVersion });
  const version = await deps.programs.version(program.id, latestVersion);
  invariant(version !== undefined, 'a version that was just written is gone');
  return { program: changed, version };
}
