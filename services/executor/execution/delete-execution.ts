import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { isId } from '@signet/kit/id.ts';
import type { ExecutionAudit } from './audit.postgres.ts';
import { executionNotFound } from './store.postgres.ts';

/** Deletes an execution that has ended. Fails with EXECUTION_NOT_FOUND and STATE_FORBIDS. */
export async function deleteExecution(
  deps: { readonly audit: ExecutionAudit },
  id: string,
  ctx: CallContext,
): Promise<void> {
  if (!isId(id)) throw executionNotFound(id);
  const { deleted, there } = await deps.audit.remove(id, ctx);
  if (!there) throw executionNotFound(id);
  if (!deleted) throw stillRuns(id, 'delete');
}

/** The error for what is possible only after the end. */
export function stillRuns(id: string, event: string): AppError {
  return new AppError('STATE_FORBIDS', 'The execution has not ended yet', {
    metadata: { executionId: id, state: 'running', event },
  });
}
