import { faultOf } from '../execution/fault.ts';
import { getEvaluation, type ReadDeps, watchEvaluation } from './await-evaluation.ts';
import type { Evaluation } from './evaluation.ts';
import { cancelled, type EvaluationRunner } from './evaluation-runner.ts';
import type { EvaluationLeases } from './lease.postgres.ts';

/** What cancelling needs. */
export type CancelEvaluationDeps = ReadDeps & {
  readonly evaluationLeases: EvaluationLeases;
  readonly evaluationRunner: Pick<EvaluationRunner, 'cancel'>;
};

// Another process hears of it within a second; its engines let go within two.
const settleMs = 5_000;

/**
 * Ends an evaluation early with what it is running, whichever process has it, and gives it as it stands then: CANCELLED, or RUNNING if
 * that takes longer than 5 s. One that has ended already is given as it is. Fails with EVALUATION_NOT_FOUND.
 */
export async function cancelEvaluation(
  deps: CancelEvaluationDeps,
  id: string,
  signal: AbortSignal,
): Promise<Evaluation> {
  let last = await getEvaluation(deps, id);
  await deps.evaluationLeases.cancel(id, faultOf(cancelled()));
  deps.evaluationRunner.cancel(id);
  const bound = AbortSignal.any([signal, AbortSignal.timeout(settleMs)]);
  for await (const evaluation of watchEvaluation(deps, id, bound)) last = evaluation;
  return last;
}
