import { AppError } from '@signet/kit/error/app-error.ts';
import { isId } from '@signet/kit/id.ts';
import { pause } from '@signet/kit/pause.ts';
import { isEnd } from '../execution/execution.ts';
import type { Evaluation } from './evaluation.ts';
import { type EvaluationStore, evaluationNotFound } from './store.postgres.ts';

/** What reading evaluations needs. */
export type ReadDeps = { readonly evaluationStore: EvaluationStore };

const lookAgainMs = 250;

/** One evaluation. Fails with EVALUATION_NOT_FOUND. */
export async function getEvaluation({ evaluationStore }: ReadDeps, id: string): Promise<Evaluation> {
  if (!isId(id)) throw evaluationNotFound(id);
  return evaluationStore.get(id);
}

/**
 * Gives an evaluation whenever it has moved, until it has ended, whichever process runs it; a database that is away is waited for. Ends
 * early when the signal is aborted. Fails with EVALUATION_NOT_FOUND.
 */
export async function* watchEvaluation(deps: ReadDeps, id: string, signal: AbortSignal): AsyncGenerator<Evaluation> {
  let shown: string | undefined;
  while (!signal.aborted) {
    const evaluation = await look(deps, id, shown !== undefined);
    if (evaluation !== undefined) {
      const { status, resultCount, attempts } = evaluation;
      const place = `${status} ${resultCount} ${attempts}`;
      if (place !== shown) yield evaluation;
      shown = place;
      if (isEnd(status)) return;
    }
    await pause(lookAgainMs, signal);
  }
}

/** Waits for the end of an evaluation and gives it. Fails with EVALUATION_NOT_FOUND; throws the reason of an abort. */
export async function awaitEvaluation(deps: ReadDeps, id: string, signal: AbortSignal): Promise<Evaluation> {
  for await (const evaluation of watchEvaluation(deps, id, signal)) {
    if (isEnd(evaluation.status)) return evaluation;
  }
  throw signal.reason;
}

async function look(deps: ReadDeps, id: string, isKnown: boolean): Promise<Evaluation | undefined> {
  try {
    return await getEvaluation(deps, id);
  } catch (error) {
    if (isKnown && error instanceof AppError && error.reason === 'DATABASE_UNAVAILABLE') return undefined;
    throw error;
  }
}
