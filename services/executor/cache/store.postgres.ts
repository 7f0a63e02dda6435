import type { Database } from '../db/pool.ts';
import type { EngineName } from '../engine/engine.ts';

/** An answer that may be given again. */
export type CacheEntry = {
  readonly outputsJson: string;
  /** Which engine gave it. */
  readonly engine: EngineName;
  /** How long it is good from now, in milliseconds. */
  readonly leftMs: number;
};

/** Where answers are kept beyond the life of a process. */
export type CacheStore = {
  /** Reads what has not expired, by the database's clock. */
  get(key: Buffer): Promise<CacheEntry | undefined>;
  put(key: Buffer, programId: string, entry: CacheEntry): Promise<void>;
  /** Deletes what has expired, and the oldest beyond `entryMax`. */
  sweep(entryMax: number): Promise<void>;
};

/** Makes the store. */
export function createCacheStore(database: Database): CacheStore {
  return {
    async get(key) {
      const [row] = await database.query<{ outputs: string; engine: EngineName; left_ms: number }>(
        'cache_get',
        `select outputs::text, engine, (extract(epoch from expire_time - now()) * 1000)::float8 as left_ms
         from executor.cache_entries where key = $1 and expire_time > now()`,
        [key],
      );
      return row && { outputsJson: row.outputs, engine: row.engine, leftMs: row.left_ms };
    },
    async put(key, programId, { outputsJson, engine, leftMs }) {
      await database.query(
        'cache_put',
        `insert into executor.cache_entries (key, program_id, engine, outputs, expire_time)
         values ($1, $2, $3, $4, now() + $5 * interval '1 ms')
         on conflict (key) do update set engine = excluded.engine, outputs = excluded.outputs,
           expire_time = excluded.expire_time, create_time = now()`,
        [key, programId, engine, outputsJson, leftMs],
      );
    },
    async sweep(entryMax) {
      await database.query('cache_expire', 'delete from executor.cache_entries where expire_time <= now()');
      await database.query(
        'cache_bound',
        `delete from executor.cache_entries where key in (
           select key from executor.cache_entries order by expire_time desc offset $1)`,
        [entryMax],
      );
    },
  };
}
