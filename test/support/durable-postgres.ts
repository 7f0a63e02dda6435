import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../services/local/postgres.ts';

/** A Postgres of a test's own that keeps what it committed, and that can be killed. */
export type DurablePostgres = {
  readonly url: string;
  /** Kills the server and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port. */
  restart(): Promise<void>;
  close(): Promise<void>;
};

/** Starts one with an empty database. */
export async function startDurablePostgres(): Promise<DurablePostgres> {
  const room = mkdtempSync(join(tmpdir(), 'signet-durable-'));
  const dataDir = join(room, 'postgres');
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir });
  const { url, port } = server;
  return {
    url,
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
    },
    async restart() {
      server = await startEmbeddedPostgres({ dataDir, port });
    },
    async close() {
      await server.stop();
      rmSync(room, { recursive: true, force: true });
    },
  };
}
