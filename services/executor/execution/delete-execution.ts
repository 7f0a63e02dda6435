import { AppError } from '@signet/kit/error/app-error.ts';
import { isId } from '@signet/kit/id.ts';
import { type ExecutionStore, executionNotFound } from './store.postgres.ts';

/** Deletes an execution that has ended. Fails with EXECUTION_NOT_FOUND and STATE_FORBIDS. */
export async function deleteExecution(deps: { readonly store: ExecutionStore }, id: string): Promise<void> {
  if (!isId(id)) throw executionNotFound(id);
  if (!(await deps.store.remove(id))) throw stillRuns(id, 'delete');
}

/** The error for what is possible only after the end. */
export function stillRuns(id: string, event: string): AppError {
  return new AppError('STATE_FORBIDS', 'The execution has not ended yet', {
    metadata: { executionId: id, state: 'running', event },
  });
}
