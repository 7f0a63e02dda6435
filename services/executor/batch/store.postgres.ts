import type { Split } from '../dataset/datasets.grpc.ts';
import type { Database, Row } from '../db/pool.ts';
import type { RunOptions } from '../execution/execution.ts';
import { channel } from '../execution/recorder.postgres.ts';
import { type Batch, type BatchFault, type BatchStatus, batchNotFound } from './batch.ts';

/** What a batch begins as. */
export type NewBatch = {
  readonly id: string;
  readonly name: string;
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  /** Absent for an upload. */
  readonly dataset?: { readonly id: string; readonly version: number; readonly splits: readonly Split[] };
  readonly keepValidRows: boolean;
  readonly concurrency: number;
  readonly options: RunOptions;
  readonly labels: Readonly<Record<string, string>>;
  readonly keyId: string;
};

/** Which batches to read. `condition` is SQL with its values from $4 on. */
export type BatchQuery = {
  readonly programId: string | undefined;
  readonly condition: string;
  readonly values: readonly unknown[];
  readonly ascending: boolean;
  readonly afterId: string | undefined;
  readonly limit: number;
};

/** A batch that is open, for those who work on batches. */
export type OpenBatch = {
  readonly id: string;
  /** True if some chunk of it waits for somebody. */
  readonly isClaimable: boolean;
  /** True if nothing of it is left to do. */
  readonly isDone: boolean;
};

/** Batches as rows; their items are the chunk store's. */
export type BatchStore = {
  /** Makes a batch that is LOADING; an upload is held for its loader under the token 1. */
  create(batch: NewBatch): Promise<void>;
  /** Fails with BATCH_NOT_FOUND. */
  get(id: string): Promise<Batch>;
  list(query: BatchQuery): Promise<Batch[]>;
  /** Moves a batch from one of these states, and tells executors; false if it was in none of them. */
  move(id: string, from: readonly BatchStatus[], to: BatchStatus): Promise<boolean>;
  /** Ends an open batch: what waits is cancelled here, what runs is for those who run it. False if it had ended. */
  cancel(id: string): Promise<boolean>;
  /** Deletes a batch that has ended, or one that is LOADING still under this token. False if it is neither. */
  remove(id: string, loaderToken?: number): Promise<boolean>;
  /** The batches that run, oldest first. */
  open(): Promise<OpenBatch[]>;
  /** Where these batches stand. */
  statuses(ids: readonly string[]): Promise<ReadonlyMap<string, BatchStatus>>;
  /** Ends a running batch all of whose items have ended; without effect otherwise. */
  complete(id: string): Promise<void>;
};

const uploadLease = `interval '10 minutes'`;

const columns = `b.id::text, b.name, b.program_id::text, b.slug, b.version, b.status, b.dataset_id::text, b.dataset_version, b.splits,
  b.item_count::float8 as item_count, b.rejected_count::float8 as rejected_count, b.row_faults, b.concurrency, b.options, b.labels, b.key_id,
  b.error_message, b.create_time, b.start_time, b.end_time, b.update_time, c.completed, c.failed, c.cancelled, c.busy`;

const counted = `left join lateral (
  select coalesce(sum(completed_count), 0)::float8 as completed, coalesce(sum(failed_count), 0)::float8 as failed,
    coalesce(sum(cancelled_count), 0)::float8 as cancelled, coalesce(bool_or(status = 'running'), false) as busy
  from executor.batch_chunks where batch_id = b.id) c on true`;

/** Makes the store. */
export function createBatchStore(database: Database): BatchStore {
  return {
    async create(batch) {
      await database.query(
        'batch_create',
        `insert into executor.batches (id, name, program_id, slug, version, status, dataset_id, dataset_version, splits, keep_valid_rows,
           concurrency, options, labels, key_id, loader_token, loader_until)
         values ($1, $2, $3, $4, $5, 'loading', $6, $7, $8, $9, $10, $11, $12, $13, case when $6::uuid is null then 1 else 0 end,
           case when $6::uuid is null then now() + ${uploadLease} end)`,
        [
          ...[batch.id, batch.name, batch.programId, batch.slug, batch.version],
          ...[batch.dataset?.id ?? null, batch.dataset?.version ?? 0, batch.dataset?.splits ?? [], batch.keepValidRows],
          ...[batch.concurrency, JSON.stringify(batch.options), JSON.stringify(batch.labels), batch.keyId],
        ],
      );
    },
    async get(id) {
      const text = `select ${columns} from executor.batches b ${counted} where b.id = $1`;
      const [row] = await database.query('batch_get', text, [id]);
      if (row === undefined) throw batchNotFound(id);
      return batchOf(row);
    },
    async list({ programId, condition, values, ascending, afterId, limit }) {
      const text = `with page as (
          select * from executor.batches
          where ($1::uuid is null or program_id = $1::uuid) and ($2::uuid is null or id ${ascending ? '>' : '<'} $2::uuid)
            ${condition === '' ? '' : `and (${condition})`}
          order by id ${ascending ? 'asc' : 'desc'} limit $3)
        select ${columns} from page b ${counted} order by b.id ${ascending ? 'asc' : 'desc'}`;
      const rows = await database.query('', text, [programId ?? null, afterId ?? null, limit, ...values]);
      return rows.map(batchOf);
    },
    async move(id, from, to) {
      const rows = await database.query('batch_move', moveText, [id, from, to]);
      return rows.length > 0;
    },
    async cancel(id) {
      return (await database.query('batch_cancel', cancelText, [id])).length > 0;
    },
    async remove(id, loaderToken) {
      const text = `delete from executor.batches where id = $1 and case when $2::int is null then end_time is not null
        else status = 'loading' and loader_token = $2 end returning 1`;
      return (await database.query('batch_remove', text, [id, loaderToken ?? null])).length > 0;
    },
    async open() {
      const rows = await database.query<{ id: string; claimable: boolean; done: boolean }>('batch_open', openText);
      return rows.map(({ id, claimable, done }) => ({ id, isClaimable: claimable, isDone: done }));
    },
    async statuses(ids) {
      const text = 'select id::text, status from executor.batches where id = any($1::uuid[])';
      const rows = await database.query<{ id: string; status: BatchStatus }>('batch_statuses', text, [ids]);
      return new Map(rows.map(({ id, status }) => [id, status]));
    },
    async complete(id) {
      await database.query('batch_complete', completeText, [id]);
    },
  };
}

const notify = `pg_notify('${channel}', 'batch ' || id)`;

const moveText = `with moved as (
  update executor.batches set status = $3, update_time = now() where id = $1 and status = any($2::text[]) returning id)
select ${notify} from moved`;

const cancelText = `with ended as (
  update executor.batches set status = 'cancelled', end_time = now(), update_time = now(), loader_until = null, shares = '[]'
  where id = $1 and end_time is null returning id),
never as (
  update executor.batch_chunks c set status = 'done', outcomes = translate(outcomes, '.', 'x'),
    cancelled_count = cancelled_count + length(outcomes) - length(replace(outcomes, '.', ''))
  from ended where c.batch_id = ended.id and c.status = 'pending')
select ${notify} from ended`;

const openText = `select b.id::text,
  exists (select from executor.batch_chunks c where c.batch_id = b.id
    and (c.status = 'pending' or (c.status = 'running' and c.lease_until < now()))) as claimable,
  not exists (select from executor.batch_chunks c where c.batch_id = b.id and c.status <> 'done') as done
from executor.batches b where b.status = 'running' order by b.id limit 1000`;

const completeText = `update executor.batches b set status = 'completed', end_time = now(), update_time = now(), shares = '[]'
where id = $1 and status = 'running'
  and not exists (select from executor.batch_chunks c where c.batch_id = b.id and c.status <> 'done')`;

function batchOf(row: Row): Batch {
  const time = (name: string): Date | undefined => (row[name] as Date | null) ?? undefined;
  return {
    id: row.id as string,
    name: row.name as string,
    programId: row.program_id as string,
    slug: row.slug as string,
    version: row.version as number,
    status: row.status as BatchStatus,
    datasetId: (row.dataset_id as string | null) ?? '',
    datasetVersion: row.dataset_version as number,
    splits: row.splits as Split[],
    itemCount: row.item_count as number,
    completedCount: row.completed as number,
    failedCount: row.failed as number,
    cancelledCount: row.cancelled as number,
    rejectedCount: row.rejected_count as number,
    faults: row.row_faults as BatchFault[],
    concurrency: row.concurrency as number,
    options: row.options as RunOptions,
    labels: row.labels as Record<string, string>,
    errorMessage: row.error_message as string,
    keyId: row.key_id as string,
    isBusy: row.busy as boolean,
    createTime: row.create_time as Date,
    startTime: time('start_time'),
    endTime: time('end_time'),
    updateTime: row.update_time as Date,
  };
}
