import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { LaunchError } from './launch-error.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './postgres.ts';

const VERSION_MIN = 150_000;

/** The database of a stack: one that was named, or the embedded one, which is started again whenever it dies. */
export type Database = { url: string; pid(): number | undefined; stop(): Promise<void> };

/** What the database needs to know. */
export type DatabaseInput = {
  databaseUrl?: string;
  dataDir: string;
  log: (line: string) => void;
  onChange: () => void;
};

/** Opens the named database, after checking that it answers and is new enough, or starts the embedded one. Throws a LaunchError of one line. */
export async function openDatabase(input: DatabaseInput): Promise<Database> {
  if (input.databaseUrl !== undefined) {
    await checkDatabase(input.databaseUrl);
    return { url: input.databaseUrl, pid: () => undefined, stop: async () => undefined };
  }
  return await superviseEmbedded(input);
}

/** Checks that a database answers and is Postgres 15 or newer; throws a LaunchError that says what it answered, without the password. */
export async function checkDatabase(url: string): Promise<void> {
  const { hostname, port, pathname } = new URL(url);
  const where = `${hostname}:${port || 5432}${pathname}`;
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string }>("select current_setting('server_version_num') as version");
    if (Number(rows[0]?.version) < VERSION_MIN)
      throw new LaunchError(`the database at ${where} is older than Postgres 15 (DATABASE_URL)`);
  } catch (error) {
    if (error instanceof LaunchError) throw error;
    throw new LaunchError(`the database at ${where} refuses (DATABASE_URL): ${reasonOf(error)}`);
  } finally {
    await client.end().catch(() => undefined);
  }
}

// A connection that fails on several addresses says why only in its parts.
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

async function superviseEmbedded({ dataDir, log, onChange }: DatabaseInput): Promise<Database> {
  const folder = join(dataDir, 'postgres');
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir: folder, log });
  let isUp = true;
  let wanted = true;
  let restarting: Promise<void> = Promise.resolve();
  const { url, port } = server;
  const watch = () => {
    void server.exited.then(() => {
      isUp = false;
      if (!wanted) return;
      onChange();
      restarting = restart();
    });
  };
  const restart = async () => {
    for (let backoffMs = 200; wanted; backoffMs = Math.min(backoffMs * 2, 5_000)) {
      await sleep(backoffMs);
      if (!wanted) return;
      try {
        server = await startEmbeddedPostgres({ dataDir: folder, port, log });
        isUp = true;
        onChange();
        return watch();
      } catch (error) {
        log(`the embedded Postgres does not come back: ${error instanceof Error ? error.message : error}`);
      }
    }
  };
  watch();
  const stop = async () => {
    wanted = false;
    await restarting;
    await server.stop();
  };
  return { url, pid: () => (isUp ? server.pid : undefined), stop };
}
