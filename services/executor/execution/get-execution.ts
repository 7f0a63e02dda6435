import { isId } from '@signet/kit/id.ts';
import type { Execution } from './execution.ts';
import { type ExecutionStore, executionNotFound } from './store.postgres.ts';

/** Reads one execution. Fails with EXECUTION_NOT_FOUND, also for what is no id. */
export async function getExecution(deps: { readonly store: ExecutionStore }, id: string): Promise<Execution> {
  if (!isId(id)) throw executionNotFound(id);
  return deps.store.get(id);
}
