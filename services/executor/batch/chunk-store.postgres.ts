import type { Database, Row } from '../db/pool.ts';
import { encodeTextArray } from '../db/text-array.ts';
import type { Outcome } from './batch.ts';

/** Neighbouring items of a batch, which one executor takes together. */
export type Chunk = {
  readonly firstIndex: number;
  readonly executionIds: readonly string[];
  /** Ids of their examples; empty if they were uploaded. */
  readonly exampleIds: readonly string[];
  /** JSON text of each one's inputs. */
  readonly inputs: readonly string[];
};

/** A chunk that is ours for as long as we renew it. */
export type HeldChunk = Omit<Chunk, 'exampleIds'> & {
  readonly batchId: string;
  readonly token: number;
  readonly outcomes: readonly Outcome[];
};

/** Why items failed that have no execution, by their place in the chunk. */
export type ChunkFaults = Readonly<Record<number, { readonly reason: string; readonly message: string }>>;

/** How far a chunk of ours is. */
export type ChunkProgress = {
  readonly batchId: string;
  readonly firstIndex: number;
  readonly token: number;
  readonly outcomes: readonly Outcome[];
  readonly faults: ChunkFaults;
  /** `done` once all of it has ended, `pending` if it is handed back. */
  readonly status: 'pending' | 'running' | 'done';
};

/** A chunk as it is read by those who look at items. */
export type ReadChunk = Omit<Chunk, 'inputs'> & {
  readonly outcomes: readonly Outcome[];
  readonly faults: ChunkFaults;
  /** Undefined once all of it has ended as executions, which have them. */
  readonly inputs: readonly string[] | undefined;
};

/** The items of batches. */
export type ChunkStore = {
  /** Takes up to `limit` chunks of a running batch that nobody works on, lowest index first. */
  claim(batchId: string, limit: number): Promise<HeldChunk[]>;
  /** Renews our leases; gives the keys (`keyOf`) of those that are still ours. */
  renew(held: readonly Pick<HeldChunk, 'batchId' | 'firstIndex' | 'token'>[]): Promise<ReadonlySet<string>>;
  /** Writes how far chunks of ours are; what is not ours any more is left alone. */
  settle(progress: readonly ChunkProgress[]): Promise<void>;
  /** Ends what lost executors left of cancelled batches; gives the executions that may still be open. */
  settleCancelled(): Promise<string[]>;
  /** Reads up to `limit` chunks from the one with an item's index on, or those of them that have an outcome among `outcomes`. */
  read(query: {
    readonly batchId: string;
    readonly fromIndex: number;
    readonly limit: number;
    readonly outcomes?: readonly Outcome[];
  }): Promise<ReadChunk[]>;
};

/** What chunks are known by. */
export function keyOf({ batchId, firstIndex }: Pick<HeldChunk, 'batchId' | 'firstIndex'>): string {
  return `${batchId}/${firstIndex}`;
}

const lease = `now() + interval '10 seconds'`;

/** Makes the store of one process; `owner` names the process in its leases. */
export function createChunkStore(database: Database, owner: string): ChunkStore {
  return {
    async claim(batchId, limit) {
      const rows = await database.query('chunk_claim', claimText, [batchId, limit, owner]);
      return rows.map(heldOf).sort((a, b) => a.firstIndex - b.firstIndex);
    },
    async renew(held) {
      const rows = await database.query<{ batch_id: string; first_index: number }>('chunk_renew', renewText, [
        held.map(({ batchId }) => batchId),
        held.map(({ firstIndex }) => firstIndex),
        held.map(({ token }) => token),
      ]);
      return new Set(rows.map((row) => keyOf({ batchId: row.batch_id, firstIndex: row.first_index })));
    },
    async settle(progress) {
      if (progress.length === 0) return;
      await database.query('chunk_settle', settleText, [
        progress.map(({ batchId }) => batchId),
        progress.map(({ firstIndex }) => firstIndex),
        progress.map(({ token }) => token),
        encodeTextArray(progress.map(({ outcomes }) => outcomes.join(''))),
        encodeTextArray(progress.map(({ faults }) => JSON.stringify(faults))),
        encodeTextArray(progress.map(({ status }) => status)),
      ]);
    },
    async settleCancelled() {
      const rows = await database.query<{ id: string }>('chunk_settle_cancelled', settleCancelledText);
      return rows.map(({ id }) => id);
    },
    async read({ batchId, fromIndex, limit, outcomes }) {
      const letters = outcomes === undefined || outcomes.length === 0 ? null : `[${outcomes.join('')}]`;
      const rows = await database.query('chunk_read', readText, [batchId, fromIndex, limit, letters]);
      return rows.map(chunkOf);
    },
  };
}

const claimText = `with picked as (
  select c.batch_id, c.first_index from executor.batch_chunks c join executor.batches b on b.id = c.batch_id
  where c.batch_id = $1 and b.status = 'running' and c.status <> 'done'
    and (c.status = 'pending' or c.lease_until < now())
  order by c.first_index limit $2 for update of c skip locked)
update executor.batch_chunks c set status = 'running', lease_owner = $3, lease_token = c.lease_token + 1, lease_until = ${lease}
from picked p where c.batch_id = p.batch_id and c.first_index = p.first_index
returning c.batch_id::text, c.first_index::float8 as first_index, c.execution_ids::text[] as execution_ids, c.inputs, c.outcomes, c.lease_token`;

const renewText = `update executor.batch_chunks c set lease_until = ${lease}
from unnest($1::uuid[], $2::bigint[], $3::int[]) as h(batch_id, first_index, token)
where c.batch_id = h.batch_id and c.first_index = h.first_index and c.lease_token = h.token and c.status = 'running'
returning c.batch_id::text, c.first_index::float8 as first_index`;

const count = (letter: string): string => `length(p.outcomes) - length(replace(p.outcomes, '${letter}', ''))`;

const settleText = `with told as (
  update executor.batch_chunks c set outcomes = p.outcomes, faults = p.faults::jsonb, status = p.status,
    completed_count = ${count('c')}, failed_count = ${count('f')}, cancelled_count = ${count('x')},
    inputs = case when p.status = 'done' and p.faults = '{}' and p.outcomes not like '%x%' then null else c.inputs end,
    lease_owner = case when p.status = 'running' then c.lease_owner end,
    lease_until = case when p.status = 'running' then c.lease_until end
  from unnest($1::uuid[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::text[])
    as p(batch_id, first_index, token, outcomes, faults, status)
  where c.batch_id = p.batch_id and c.first_index = p.first_index and c.lease_token = p.token and c.status = 'running'
  returning c.batch_id)
update executor.batches b set update_time = now() where id in (select batch_id from told)`;

const settleCancelledText = `with lost as (
  select c.batch_id, c.first_index, c.outcomes, c.execution_ids from executor.batch_chunks c join executor.batches b on b.id = c.batch_id
  where c.status = 'running' and c.lease_until < now() and b.status = 'cancelled' limit 100 for update of c skip locked),
told as (
  update executor.batch_chunks c set status = 'done', lease_owner = null, lease_until = null,
    outcomes = translate(c.outcomes, '.', 'x'),
    cancelled_count = c.cancelled_count + length(c.outcomes) - length(replace(c.outcomes, '.', ''))
  from lost l where c.batch_id = l.batch_id and c.first_index = l.first_index)
select e.id::text from lost l, unnest(l.execution_ids) with ordinality as e(id, place)
where substr(l.outcomes, e.place::int, 1) = '.'`;

const readText = `select first_index::float8 as first_index, execution_ids::text[] as execution_ids, example_ids::text[] as example_ids, inputs,
  outcomes, faults
from executor.batch_chunks
where batch_id = $1 and first_index >= coalesce(
    (select max(first_index) from executor.batch_chunks where batch_id = $1 and first_index <= $2), 0)
  and ($4::text is null or outcomes ~ $4)
order by first_index limit $3`;

function heldOf(row: Row): HeldChunk {
  return {
    batchId: row.batch_id as string,
    firstIndex: row.first_index as number,
    token: row.lease_token as number,
    executionIds: row.execution_ids as string[],
    inputs: linesOf(row.inputs as string),
    outcomes: [...(row.outcomes as string)] as Outcome[],
  };
}

function chunkOf(row: Row): ReadChunk {
  const inputs = row.inputs as string | null;
  return {
    firstIndex: row.first_index as number,
    executionIds: row.execution_ids as string[],
    exampleIds: (row.example_ids as string[] | null) ?? [],
    inputs: inputs === null ? undefined : linesOf(inputs),
    outcomes: [...(row.outcomes as string)] as Outcome[],
    faults: row.faults as ChunkFaults,
  };
}

/** The inputs of a chunk as one text: a line each, as JSON without line breaks is. */
export function joinInputs(inputs: readonly string[]): string {
  return inputs.map((text) => (/[\r\n]/.test(text) ? text.replace(/[\r\n]+/g, ' ') : text)).join('\n');
}

function linesOf(text: string): string[] {
  return text.split('\n');
}
