import type { Logger } from '@signet/kit/log/logger.ts';
import pg from 'pg';
import { toDatabaseError } from './database-error.ts';

/** One row as it comes: columns by name. */
export type Row = Record<string, unknown>;

/** The way to the database for statements that are prepared once and then named. */
export type Database = {
  /** Runs a statement, prepared under its name. Failures of the connection come as DATABASE_UNAVAILABLE, others as they are. */
  query<R extends Row = Row>(name: string, text: string, values?: readonly unknown[]): Promise<R[]>;
  /**
   * As `query`, but failures come as the driver gives them. `onSent` hears at once if the whole statement could be handed to the operating
   * system, from where it reaches the database whatever becomes of this process.
   */
  queryRaw<R extends Row = Row>(
    name: string,
    text: string,
    values?: readonly unknown[],
    onSent?: () => void,
  ): Promise<R[]>;
  close(): Promise<void>;
};

/** How a pool is made. */
export type PoolOptions = {
  readonly connectionMax: number;
  /** Settings of every session. */
  readonly settings?: Readonly<Record<string, string>>;
};

/** Opens a pool; connections are made when they are needed, and again after they broke. */
export function openDatabase(deps: { log: Logger }, databaseUrl: string, options: PoolOptions): Database {
  const settings = { jit: 'off', ...options.settings };
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.connectionMax,
    connectionTimeoutMillis: 3000,
    idleTimeoutMillis: 30_000,
    application_name: 'signet-executor',
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
    allowExitOnIdle: true,
  });
  // An idle connection that breaks says so here; whoever needs one next gets a new one.
  pool.on('error', (error) => deps.log.debug({ code: (error as NodeJS.ErrnoException).code }, 'lost a connection'));
  const queryRaw: Database['queryRaw'] = async <R extends Row>(
    name: string,
    text: string,
    values: readonly unknown[] = [],
    onSent?: () => void,
  ) => {
    const statement = { name, text, values: values as unknown[] };
    return onSent === undefined ? (await pool.query<R>(statement)).rows : sendOn<R>(pool, statement, onSent);
  };
  return {
    queryRaw,
    async query<R extends Row>(name: string, text: string, values: readonly unknown[] = []) {
      try {
        return await queryRaw<R>(name, text, values);
      } catch (error) {
        throw toDatabaseError(error);
      }
    },
    close: () => pool.end(),
  };
}

async function sendOn<R extends Row>(pool: pg.Pool, statement: pg.QueryConfig, onSent: () => void): Promise<R[]> {
  const client = await pool.connect();
  // What breaks a connection fails the statement as well.
  const ignore = (): void => {};
  client.on('error', ignore);
  let failure: Error | undefined;
  try {
    const running = client.query<R>(statement);
    if (hasNothingToWrite(client)) onSent();
    return (await running).rows;
  } catch (error) {
    failure = error as Error;
    throw error;
  } finally {
    client.off('error', ignore);
    client.release(failure);
  }
}

// The driver does not say it; its types leave out the connection that every client has.
function hasNothingToWrite(client: pg.PoolClient): boolean {
  const { connection } = client as { connection?: { stream?: { writableLength?: number } } };
  return connection?.stream?.writableLength === 0;
}

/**
 * Settings for statements that join arrays to the big table: planned once, on whatever the table held then, and always by the index.
 * A plan made while the table was empty would else keep its sequential scan.
 */
export const byIndexAlways = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
} as const;
