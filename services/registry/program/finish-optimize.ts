import type { JsonRecord } from '../check/field-checks.ts';
import type { OptimizerStore } from '../optimizer/store.postgres.ts';
import { transitionMs } from './begin-initialize.ts';
import { hasEnded } from './begin-optimize.ts';
import { type Program, type ProgramView, programNotFound, stateForbids, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Names what a job holds. */
export type HeldOptimization = {
  readonly programId: string;
  readonly fencingToken: number;
  readonly jobId: string;
};

/** What came of a job. */
export type FinishOptimizeInput = HeldOptimization & {
  readonly history: JsonRecord;
  /** The version that was made; 0 if none was. */
  readonly version: number;
  readonly scoreBefore?: number | undefined;
  readonly scoreAfter?: number | undefined;
  readonly variables: JsonRecord;
  /** Empty if no optimizer is kept. */
  readonly optimizerId: string;
  readonly optimizerState: JsonRecord;
};

// The history travels with every read of the program.
const entriesMax = 100;

/**
 * Ends what `beginOptimize` began, whatever came of it: READY, an entry in front of the history, and after a success the version's scores and
 * the program's variables. A job that was ended already is answered as if it ended now. Fails with PROGRAM_NOT_FOUND, VERSION_NOT_FOUND, and
 * STATE_FORBIDS if the token is stale.
 */
export async function finishOptimize(
  deps: { readonly programs: ProgramStore; readonly optimizers: OptimizerStore },
  input: FinishOptimizeInput,
): Promise<ProgramView> {
  const program = await deps.programs.lock(input.programId);
  if (program === undefined) throw programNotFound(input.programId);
  if (hasEnded(program, input.jobId)) return deps.programs.view(program);
  requireHeld(program, input);
  if (input.version > 0) {
    const version = await deps.programs.version(program.id, input.version);
    if (version === undefined) throw versionNotFound(program.id, input.version);
    await deps.programs.putScores(version.id, input.scoreBefore, input.scoreAfter);
  }
  await keepState(deps, input);
  return deps.programs.view(await backToReady(deps, program, input.history, input.variables));
}

/** Takes a program that is OPTIMIZING back to READY with an entry in front of its history. */
export function backToReady(
  deps: { readonly programs: ProgramStore },
  program: Program,
  entry: JsonRecord,
  variables: JsonRecord,
): Promise<Program> {
  return deps.programs.change(program, {
    status: 'ready',
    optimizingJob: null,
    transitionUntil: null,
    fencingToken: program.fencingToken + 1,
    optimizationHistory: [entry, ...program.optimizationHistory].slice(0, entriesMax),
    variables: { ...program.variables, ...variables },
  });
}

/** Keeps what jobs began alive for another minute; gives the jobs that hold their program no longer. */
export async function renewOptimizations(
  deps: { readonly programs: ProgramStore },
  held: readonly HeldOptimization[],
): Promise<string[]> {
  const alive = await deps.programs.renewJobs(held, transitionMs);
  return held.flatMap(({ jobId }) => (alive.has(jobId) ? [] : [jobId]));
}

/** Throws STATE_FORBIDS unless a job holds a program under its token. */
export function requireHeld(program: Program, { fencingToken, jobId }: HeldOptimization): void {
  const { status, optimizingJob } = program;
  if (status === 'optimizing' && program.fencingToken === fencingToken && optimizingJob === jobId) return;
  throw stateForbids('The fencing token is stale: the optimization was ended by another', status, 'finish_optimize');
}

async function keepState(deps: { readonly optimizers: OptimizerStore }, input: FinishOptimizeInput): Promise<void> {
  if (input.optimizerId === '') return;
  const optimizer = await deps.optimizers.lock(input.optimizerId);
  if (optimizer === undefined) return;
  const jobs = typeof optimizer.state.jobs === 'number' ? optimizer.state.jobs + 1 : 1;
  await deps.optimizers.change(optimizer, { state: { ...optimizer.state, ...input.optimizerState, jobs } });
}
