import type { Database } from '../db/pool.ts';

/** How much of one kind of work has not ended, of all executors together. */
export type OpenWork = {
  readonly kind: 'batch' | 'evaluation' | 'optimization';
  readonly waiting: number;
  readonly running: number;
  /** How long the oldest that waits has waited, in milliseconds; 0 if none waits. */
  readonly oldestMs: number;
};

/** Tells what has been asked for and has not ended. */
export type WorkStore = {
  /** A row for each kind, also where there is nothing. */
  open(): Promise<readonly OpenWork[]>;
  /** How many items of batches have not ended: those of a chunk that runs still count. */
  openItems(): Promise<number>;
};

/** Makes the store; it reads indexes of what is open alone, so history costs nothing. */
export function createWorkStore(database: Database): WorkStore {
  return {
    async open() {
      const rows = await database.query<{ kind: OpenWork['kind']; waiting: string; running: string; oldest: number }>(
        'work_open',
        openText,
      );
      return rows.map(({ kind, waiting, running, oldest }) => ({
        ...{ kind, waiting: Number(waiting), running: Number(running) },
        oldestMs: Math.max(0, Math.round(oldest)),
      }));
    },
    async openItems() {
      const [row] = await database.query<{ items: string }>('work_open_items', openItemsText);
      return Number(row?.items ?? 0);
    },
  };
}

const kinds = [
  { kind: 'batch', table: 'batches', waits: 'loading' },
  { kind: 'evaluation', table: 'evaluations', waits: 'pending' },
  { kind: 'optimization', table: 'optimization_jobs', waits: 'queued' },
] as const;

const openText = kinds
  .map(
    ({ kind, table, waits }) => `
  select '${kind}' as kind, count(*) filter (where status = '${waits}') as waiting,
    count(*) filter (where status = 'running') as running,
    coalesce(extract(epoch from now() - min(create_time) filter (where status = '${waits}')) * 1000, 0)::float8 as oldest
  from executor.${table} where status in ('${waits}', 'running')`,
  )
  .join('\n  union all');

const openItemsText = `
  select coalesce(sum(c.item_count), 0) as items from executor.batches b
  join executor.batch_chunks c on c.batch_id = b.id and c.status <> 'done'
  where b.status in ('loading', 'running')`;
