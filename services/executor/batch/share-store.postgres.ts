import type { Database } from '../db/pool.ts';
import { channel } from '../execution/recorder.postgres.ts';
import { grantShare, type Share, type ShareGrant, type ShareWish } from './share.ts';

/** What this process asks of one batch. */
export type BatchWish = Omit<ShareWish, 'owner'> & { readonly batchId: string };

/** How the executors that work on a batch divide its places, so that its concurrency holds for all of them together. */
export type ShareStore = {
  /** Asks for a share in each of these batches; gives how many items of it may be brought to run here. Those that are not open are missing. */
  share(wishes: readonly BatchWish[]): Promise<ReadonlyMap<string, number>>;
};

// So often somebody else may have been faster.
const triesMax = 5;

/** Makes the store of one process; `owner` names the process in its shares. */
export function createShareStore(database: Database, owner: string): ShareStore {
  return {
    async share(wishes) {
      const limits = new Map<string, number>();
      let open = wishes;
      for (let tries = 0; open.length > 0 && tries < triesMax; tries++) {
        const granted = await look(database, open, owner);
        for (const { batchId, grant } of granted) if (!grant.isNew) limits.set(batchId, grant.limit);
        const changed = granted.filter(({ grant }) => grant.isNew);
        const written = await write(database, changed);
        for (const { batchId, grant } of changed) if (written.has(batchId)) limits.set(batchId, grant.limit);
        const again = new Set(changed.filter(({ batchId }) => !written.has(batchId)).map(({ batchId }) => batchId));
        open = open.filter(({ batchId }) => again.has(batchId));
      }
      return limits;
    },
  };
}

type Granted = { readonly batchId: string; readonly before: readonly Share[]; readonly grant: ShareGrant };

async function look(database: Database, wishes: readonly BatchWish[], owner: string): Promise<Granted[]> {
  const rows = await database.query<{ id: string; concurrency: number; shares: Share[]; now_ms: number }>(
    'batch_shares',
    `select id::text, concurrency, shares, floor(extract(epoch from now()) * 1000)::float8 as now_ms
     from executor.batches where id = any($1::uuid[]) and status in ('running', 'paused')`,
    [wishes.map(({ batchId }) => batchId)],
  );
  const byId = new Map(wishes.map((wish) => [wish.batchId, wish]));
  return rows.map(({ id, concurrency, shares, now_ms: nowMs }) => {
    const { wanted, kept } = byId.get(id)!;
    const grant = grantShare(concurrency, shares, { owner, wanted, kept }, nowMs);
    return { batchId: id, before: shares, grant };
  });
}

// Only onto what was looked at; locked in one order, or two that write the same batches might wait for each other for ever.
const writeText = `with held as (
  select id from executor.batches where id = any($1::uuid[]) order by id for no key update),
told as (
  update executor.batches b set shares = p.after::jsonb
  from held join unnest($1::uuid[], $2::text[], $3::text[], $4::bool[]) as p(id, before, after, tells) on p.id = held.id
  where b.id = held.id and b.shares = p.before::jsonb and b.status in ('running', 'paused')
  returning b.id, p.tells)
select id::text, case when tells then pg_notify('${channel}', 'batch ' || id) end from told`;

async function write(database: Database, granted: readonly Granted[]): Promise<ReadonlySet<string>> {
  if (granted.length === 0) return new Set();
  const rows = await database.query<{ id: string }>('batch_shares_write', writeText, [
    granted.map(({ batchId }) => batchId),
    granted.map(({ before }) => JSON.stringify(before)),
    granted.map(({ grant }) => JSON.stringify(grant.shares)),
    granted.map(({ grant }) => grant.concernsOthers),
  ]);
  return new Set(rows.map(({ id }) => id));
}
