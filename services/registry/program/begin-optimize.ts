import { transitionMs } from './begin-initialize.ts';
import { type Program, type ProgramStatus, programNotFound, stateForbids, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Names a program to optimize, the job that does it, and the version that it begins with; 0 means the serving one. */
export type BeginOptimizeInput = { readonly program: string; readonly jobId: string; readonly version: number };

/** A program that a job holds, and the version that it begins with. */
export type BegunOptimize = { readonly program: Program; readonly version: number };

/** Words of the history for jobs that ended; one that was interrupted may go on. */
const ends = ['completed', 'failed', 'cancelled'];

/** Whether the history of a program tells that a job has ended. */
export function hasEnded(program: Program, jobId: string): boolean {
  return program.optimizationHistory.some((entry) => entry.job_id === jobId && ends.includes(String(entry.status)));
}

/**
 * Moves a program from READY to OPTIMIZING for a job, with a fresh fencing token; the job that holds it already is given the same one. Of
 * many jobs one wins. Fails with PROGRAM_NOT_FOUND, VERSION_NOT_FOUND and STATE_FORBIDS (`Program must be active to optimize (status: …)`).
 */
export async function beginOptimize(
  deps: { readonly programs: ProgramStore },
  input: BeginOptimizeInput,
): Promise<BegunOptimize> {
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  const version = input.version === 0 ? program.servingVersion : input.version;
  if (program.status === 'optimizing' && program.optimizingJob === input.jobId) {
    await deps.programs.renew(program.id, transitionMs);
    return { program, version };
  }
  if (program.status !== 'ready') throw notActive(program.status);
  if (hasEnded(program, input.jobId)) throw stateForbids('The job has ended already', program.status, 'optimize');
  if ((await deps.programs.version(program.id, version)) === undefined) throw versionNotFound(program.id, version);
  await deps.programs.renew(program.id, transitionMs);
  const begun = await deps.programs.change(program, {
    status: 'optimizing',
    fencingToken: program.fencingToken + 1,
    optimizingJob: input.jobId,
  });
  return { program: begun, version };
}

function notActive(status: ProgramStatus) {
  return stateForbids(`Program must be active to optimize (status: ${status})`, status, 'optimize');
}
