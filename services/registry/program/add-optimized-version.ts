import { FieldChecks } from '../check/field-checks.ts';
import type { GivenPayload } from './check-configuration.ts';
import { type HeldOptimization, requireHeld } from './finish-optimize.ts';
import { type Lineage, programNotFound, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';
import { checkState, versionOfState } from './version-of-state.ts';

/** What an optimizer came to. */
export type AddOptimizedVersionInput = HeldOptimization & {
  readonly baseVersion: number;
  /** What DSPy saves of the program. */
  readonly state: GivenPayload;
  readonly lineage: Lineage;
};

/**
 * Makes a version out of what an optimizer came to, not promoted; a job makes one, and is given it again. Fails with PROGRAM_NOT_FOUND,
 * VERSION_NOT_FOUND, INVALID_REQUEST for a state that does not fit the program, and STATE_FORBIDS if the token is stale.
 */
export async function addOptimizedVersion(
  deps: { readonly programs: ProgramStore },
  input: AddOptimizedVersionInput,
): Promise<{ readonly programId: string; readonly version: number }> {
  const checks = new FieldChecks();
  const state = checkState(input.state, checks);
  checks.done();
  const program = await deps.programs.lock(input.programId);
  if (program === undefined) throw programNotFound(input.programId);
  requireHeld(program, input);
  const made = await deps.programs.versionOfJob(program.id, input.jobId);
  if (made !== undefined) return { programId: program.id, version: made.version };
  const base = await deps.programs.version(program.id, input.baseVersion);
  if (base === undefined) throw versionNotFound(program.id, input.baseVersion);
  const version = versionOfState({ base, module: '', state: state! }, checks);
  checks.done();
  const added = { ...version, source: 'optimize' as const, lineage: input.lineage };
  const latestVersion = await deps.programs.addVersion(program, added, base.version);
  await deps.programs.change(program, { latestVersion });
  return { programId: program.id, version: latestVersion };
}
