import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { type CatalogItem, type ChangesDeps, changesAfter } from './changes.ts';
import type { CatalogListener } from './listener.postgres.ts';

/** What a watch needs: the reads, and what wakes it. */
export type WatchDeps = ChangesDeps & { readonly listener: CatalogListener };

/** One message of a watch. */
export type CatalogEvent = CatalogItem | { readonly kind: 'synced'; readonly revision: bigint };

const batchMax = 200;

/**
 * Tells everything that changed after a revision, in the order of the commits, then `synced`, then each change as it comes; what
 * changed twice in between is told once, as it is. A revision that was never reached (another database) starts from the beginning.
 * While the database is away it waits. Ends with SHUTTING_DOWN when the registry stops.
 */
export async function* watchCatalog(
  deps: WatchDeps,
  input: { readonly afterRevision: bigint },
  ctx: CallContext,
): AsyncGenerator<CatalogEvent> {
  const { listener } = deps;
  const { signal } = ctx;
  let cursor = input.afterRevision;
  let isKnown = false;
  let isSynced = false;
  while (!signal.aborted) {
    const { tick } = listener;
    const batch = await lookUnlessAway(async () => {
      if (!isKnown && cursor > (await deps.catalog.revision())) cursor = 0n;
      isKnown = true;
      return changesAfter(deps, cursor, batchMax);
    });
    for (const change of batch ?? []) {
      cursor = change.revision;
      yield change;
    }
    if (batch?.length === batchMax) continue;
    if (batch !== undefined && !isSynced) {
      isSynced = true;
      yield { kind: 'synced', revision: cursor };
    }
    await listener.waitBeyond(tick, signal);
  }
}

async function lookUnlessAway<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof AppError && error.reason === 'DATABASE_UNAVAILABLE') return undefined;
    throw error;
  }
}
