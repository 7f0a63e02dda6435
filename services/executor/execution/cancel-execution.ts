import type { CallContext } from '@signet/kit/call-context.ts';
import { isId } from '@signet/kit/id.ts';
import type { ExecutionAudit } from './audit.postgres.ts';
import type { Execution } from './execution.ts';
import { cancelled } from './housekeeper.ts';
import { cancelledFault, type LeaseStore } from './lease.postgres.ts';
import { executionNotFound } from './store.postgres.ts';
import { type WaitDeps, waitExecution } from './wait-execution.ts';

/** What cancelling needs. */
export type CancelDeps = WaitDeps & { readonly leases: LeaseStore; readonly audit: ExecutionAudit };

// The engine comes back within 2 s of an abort; then the end is written.
const settleMs = 4_000;

/**
 * Ends an execution early, whichever process runs it, and gives it as it stands then: CANCELLED, or PENDING or RUNNING if that takes
 * longer than 4 s, because its engine does not let go or it is undone first. One that has ended already is given as it is. Fails with
 * EXECUTION_NOT_FOUND.
 */
export async function cancelExecution(deps: CancelDeps, id: string, ctx: CallContext): Promise<Execution> {
  if (!isId(id)) throw executionNotFound(id);
  const live = deps.live.get(id);
  if (live !== undefined) {
    // Its first row may still be on its way.
    await live.record.stored().catch(() => undefined);
    await deps.audit.noteCancel(id, ctx);
    // Should this process be lost before the end is written, whoever goes on knows of it.
    await deps.leases.cancel(id, cancelledFault);
    live.abort(cancelled());
  } else {
    await deps.audit.noteCancel(id, ctx);
    if ((await deps.leases.cancel(id, cancelledFault)) === undefined) throw executionNotFound(id);
  }
  return waitExecution(deps, id, settleMs, ctx);
}
