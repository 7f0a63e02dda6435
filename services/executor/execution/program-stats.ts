import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { Counters, Statistics } from './execution.ts';
import type { ExecutionStore } from './store.postgres.ts';

/** What counting needs. */
export type StatsDeps = { readonly store: ExecutionStore; readonly catalog: Catalog };

/** The program and its counters, read afresh. Fails with PROGRAM_NOT_FOUND. */
export async function getProgramStats(
  deps: StatsDeps,
  program: string,
  ctx: CallContext,
): Promise<Counters & { readonly program: ServedProgram }> {
  const served = await deps.catalog.readAfresh(program, ctx);
  return { program: served, ...(await deps.store.counters(served.id)) };
}

/**
 * All executions of a program, or of one of its versions (0 means all), in figures, read afresh. The total counts executions in any state, so while some run it is more than
 * successes and failures together. Fails with PROGRAM_NOT_FOUND and VERSION_NOT_FOUND.
 */
export async function getProgramStatistics(
  deps: StatsDeps,
  { program, version }: { readonly program: string; readonly version: number },
  ctx: CallContext,
): Promise<Statistics> {
  if (version < 0) throw invalidField('version', 'must not be negative', 'NEGATIVE');
  const served = await deps.catalog.readAfresh(program, ctx);
  if (version > 0) await deps.catalog.resolve(served.id, version, ctx);
  return deps.store.statistics(served.id, version);
}
