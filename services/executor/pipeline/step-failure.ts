import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { ExpressionError } from '@signet/pipeline/expression/expression-error.ts';
import type { Pipeline, Step } from '@signet/pipeline/pipeline.ts';
import type { JsonObject } from '@signet/signature/json.ts';

const stopMaxMs = 30_000;

/** What bindings see of a failure: `{reason, message}`. */
export function failureOf(failure: unknown): JsonObject {
  const { reason, message } = normalizeError(failure);
  return new Map([
    ['reason', reason as string],
    ['message', message],
  ]);
}

/** A value out of an expression; one that fails is the failure of its step, or of the return. */
export function evaluated<T>(step: Pick<Step, 'id'> | undefined, find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    const where = step === undefined ? 'The return' : `The step \`${step.id}\``;
    throw new AppError('MODULE_FAILED', `${where} has an expression that fails: ${error.message}`, {
      category: 'module',
      metadata: step === undefined ? {} : { step: step.id },
    });
  }
}

/** Why a step could not begin, with where it stands in its pipeline: `The step \`steps.retrieval.vector\` …`. */
export function notBegun(pipeline: Pipeline, step: Step, failure: unknown): AppError {
  const error = normalizeError(failure);
  const what = step.kind === 'module' ? ` (module \`${step.module}\`)` : '';
  const where = pathTo(pipeline.steps, step.id, 'steps') ?? step.id;
  return new AppError(error.reason, `The step \`${where}\`${what} cannot begin: ${error.message}`, {
    ...error,
    metadata: { ...error.metadata, step: step.id },
    cause: error.cause,
  });
}

// As references name it; what stands in for a step, or undoes it, is named below it.
function pathTo(steps: readonly Step[], id: string, above: string): string | undefined {
  for (const step of steps) {
    const here = `${above}.${step.id}`;
    if (step.id === id) return here;
    const within = [step.kind === 'group' ? step.steps : [], step.compensate ?? [], step.undo ?? []].flat();
    const found = pathTo(within, id, here);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Why a step is stopped that has done nothing wrong: another one failed, and that is the failure to be told. */
export function stopped(why: string): AppError {
  return new AppError('CANCELLED', why, { metadata: { stopped: 'true' } });
}

/** Waits, for 30 s at most, until a step that was stopped before its run began anew is stopped again, by the same failure as then. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, stopMaxMs);
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}
