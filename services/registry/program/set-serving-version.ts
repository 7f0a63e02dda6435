import { AppError } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { type ProgramView, programNotFound, stateForbids, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Which version is to serve from now on, and which one did when that was decided. */
export type ServingInput = {
  readonly program: string;
  readonly version: number;
  /** The serving version that the caller saw. */
  readonly expected: number;
  /** The state of the program that the caller saw; empty compares nothing. */
  readonly etag: string;
};

/**
 * Lets another prepared version of a serving program answer calls; the one that serves already is no error. Fails with PROGRAM_NOT_FOUND,
 * VERSION_NOT_FOUND, ETAG_MISMATCH, STATE_FORBIDS (the program does not serve, the version is not prepared) and WRITE_CONFLICT
 * (another promotion came first).
 */
export async function setServingVersion(
  deps: { readonly programs: ProgramStore },
  input: ServingInput,
): Promise<ProgramView> {
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  requireEtag(program, input.etag);
  if (program.status !== 'ready' && program.status !== 'optimizing') {
    throw stateForbids(`Cannot promote a version of a program in state ${program.status}`, program.status, 'promote');
  }
  const version = await deps.programs.version(program.id, input.version);
  if (version === undefined) throw versionNotFound(program.id, input.version);
  if (version.preparation.state !== 'ready') {
    throw stateForbids(`Version ${version.version} has not been prepared`, program.status, 'promote');
  }
  if (program.servingVersion === version.version && program.servingPolicy.trafficSplit === undefined)
    return deps.programs.view(program);
  if (program.servingVersion !== version.version && program.servingVersion !== input.expected)
    throw new AppError('WRITE_CONFLICT', 'Another promotion came first; look at it and try again');
  const { dspyProgramId } = version.preparation;
  // All calls go to it from now on.
  const { trafficSplit: _, ...rest } = program.servingPolicy;
  const promoted = await deps.programs.change(program, {
    servingVersion: version.version,
    dspyProgramId,
    servingPolicy: { ...rest },
  });
  return deps.programs.view(promoted);
}
