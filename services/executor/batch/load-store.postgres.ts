import type { Split } from '../dataset/datasets.grpc.ts';
import type { Database } from '../db/pool.ts';
import { channel } from '../execution/recorder.postgres.ts';
import type { BatchFault } from './batch.ts';
import { type Chunk, joinInputs } from './chunk-store.postgres.ts';

/** A batch whose items somebody reads, under a token that nobody else has. */
export type Loading = { readonly id: string; readonly token: number };

/** A batch over a dataset that waits to be loaded. */
export type DatasetLoading = Loading & {
  readonly programId: string;
  readonly version: number;
  readonly datasetId: string;
  readonly datasetVersion: number;
  readonly splits: readonly Split[];
  readonly keepValidRows: boolean;
};

/** Rows that did not fit: the first ones, and how many in all. */
export type Rejected = { readonly faults: readonly BatchFault[]; readonly count: number };

/** Fills batches that are LOADING. */
export type LoadStore = {
  /** Takes a batch over a dataset that nobody loads; what another began of it is forgotten. */
  claim(): Promise<DatasetLoading | undefined>;
  /** Adds a chunk; false if the batch is not ours to load any more. */
  append(loading: Loading, chunk: Chunk): Promise<boolean>;
  /** Lets the items run; one without items has ended with that. False if it is not ours any more. */
  finish(loading: Loading, rejected: Rejected): Promise<boolean>;
  /** Ends a batch that cannot be loaded, without items. */
  fail(loading: Loading, message: string, rejected: Rejected): Promise<void>;
  /** Forgets uploads that broke off with their process. */
  sweep(): Promise<void>;
};

const datasetLease = `now() + interval '30 seconds'`;
const uploadLease = `now() + interval '10 minutes'`;

/** Makes the store. */
export function createLoadStore(database: Database): LoadStore {
  return {
    async claim() {
      const [row] = await database.query<LoadingRow>('batch_load_claim', claimText);
      return (
        row && {
          id: row.id,
          token: row.loader_token,
          programId: row.program_id,
          version: row.version,
          datasetId: row.dataset_id,
          datasetVersion: row.dataset_version,
          splits: row.splits,
          keepValidRows: row.keep_valid_rows,
        }
      );
    },
    async append({ id, token }, chunk) {
      const rows = await database.query('batch_load_append', appendText, [
        id,
        token,
        chunk.firstIndex,
        chunk.executionIds,
        chunk.exampleIds.length === 0 ? null : chunk.exampleIds,
        joinInputs(chunk.inputs),
        '.'.repeat(chunk.executionIds.length),
      ]);
      return rows.length > 0;
    },
    async finish({ id, token }, { faults, count }) {
      const rows = await database.query('batch_load_finish', finishText, [id, token, JSON.stringify(faults), count]);
      return rows.length > 0;
    },
    async fail({ id, token }, message, { faults, count }) {
      await database.query('batch_load_fail', failText, [id, token, message, JSON.stringify(faults), count]);
    },
    async sweep() {
      await database.query(
        'batch_load_sweep',
        `delete from executor.batches where status = 'loading' and dataset_id is null and loader_until < now()`,
      );
    },
  };
}

type LoadingRow = {
  id: string;
  loader_token: number;
  program_id: string;
  version: number;
  dataset_id: string;
  dataset_version: number;
  splits: Split[];
  keep_valid_rows: boolean;
};

const claimText = `with picked as (
  select id from executor.batches
  where status = 'loading' and dataset_id is not null and (loader_until is null or loader_until < now())
  order by id limit 1 for update skip locked),
gone as (delete from executor.batch_chunks where batch_id in (select id from picked))
update executor.batches b set loader_token = loader_token + 1, loader_until = ${datasetLease}, item_count = 0
from picked where b.id = picked.id
returning b.id::text, b.loader_token, b.program_id::text, b.version, b.dataset_id::text, b.dataset_version, b.splits, b.keep_valid_rows`;

const ours = `id = $1 and status = 'loading' and loader_token = $2`;

const appendText = `with held as (
  update executor.batches set item_count = item_count + cardinality($4::uuid[]), update_time = now(),
    loader_until = case when dataset_id is null then ${uploadLease} else ${datasetLease} end
  where ${ours} returning id)
insert into executor.batch_chunks (batch_id, first_index, item_count, execution_ids, example_ids, inputs, outcomes)
select id, $3::bigint, cardinality($4::uuid[]), $4::uuid[], $5::uuid[], $6, $7 from held returning 1`;

const finishText = `with moved as (
  update executor.batches set status = case when item_count = 0 then 'completed' else 'running' end, start_time = now(),
    end_time = case when item_count = 0 then now() end, update_time = now(), loader_until = null, row_faults = $3::jsonb,
    rejected_count = $4
  where ${ours} returning id)
select pg_notify('${channel}', 'batch ' || id) from moved`;

const failText = `with moved as (
  update executor.batches set status = 'failed', end_time = now(), update_time = now(), loader_until = null, item_count = 0,
    error_message = $3, row_faults = $4::jsonb, rejected_count = $5
  where ${ours} returning id)
delete from executor.batch_chunks where batch_id in (select id from moved)`;
