import { invalidField } from '@signet/kit/error/app-error.ts';
import { errorTurn, followProgram } from '../module/follow-program.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import {
  type Preparation,
  type Program,
  type ProgramView,
  programNotFound,
  stateForbids,
  versionNotFound,
} from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Names a transition by its token. */
export type TransitionInput = { readonly programId: string; readonly fencingToken: number };

/** The end of a transition: what came of the version that was prepared. */
export type FinishInput = TransitionInput & { readonly version: number; readonly preparation: Preparation };

/**
 * Ends what `beginInitialize` began: READY, and the version serves; or ERROR with its reason. Fails with PROGRAM_NOT_FOUND,
 * VERSION_NOT_FOUND, INVALID_REQUEST, and STATE_FORBIDS if the token is stale.
 */
export async function finishInitialize(
  deps: { readonly programs: ProgramStore; readonly modules: ModuleStore },
  input: FinishInput,
): Promise<ProgramView> {
  const { preparation } = input;
  if (preparation.state === 'none') throw invalidField('preparation.state', 'must be READY or ERROR');
  if (preparation.state === 'ready' && preparation.dspyProgramId === '') {
    throw invalidField('preparation.dspy_program_id', 'is required', 'REQUIRED');
  }
  const program = await lockTransition(deps, input);
  const version = await deps.programs.version(program.id, input.version);
  if (version === undefined) throw versionNotFound(program.id, input.version);
  await deps.programs.putPreparation(version.id, preparation);
  const outcome =
    preparation.state === 'ready'
      ? {
          status: 'ready' as const,
          servingVersion: version.version,
          dspyProgramId: preparation.dspyProgramId,
          errorMessage: '',
        }
      : { status: 'error' as const, errorMessage: preparation.errorMessage || 'initialization failed' };
  const turn = outcome.status === 'ready' ? ({ kind: 'ready' } as const) : errorTurn(outcome.errorMessage);
  await followProgram(deps, program, turn);
  return deps.programs.view(await deps.programs.change(program, { ...outcome, transitionUntil: null }));
}

/** Keeps a transition alive for another minute. Fails with PROGRAM_NOT_FOUND, and STATE_FORBIDS if the token is stale. */
export async function renewTransition(
  deps: { readonly programs: ProgramStore },
  input: TransitionInput,
  holdMs: number,
): Promise<void> {
  const { id } = await lockTransition(deps, input);
  await deps.programs.renew(id, holdMs);
}

async function lockTransition(
  deps: { readonly programs: ProgramStore },
  { programId, fencingToken }: TransitionInput,
): Promise<Program> {
  const program = await deps.programs.lock(programId);
  if (program === undefined) throw programNotFound(programId);
  if (program.status === 'initializing' && program.fencingToken === fencingToken) return program;
  throw stateForbids(
    'The fencing token is stale: the transition was ended by another',
    program.status,
    'finish_initialize',
  );
}
