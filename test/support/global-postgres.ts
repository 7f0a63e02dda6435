import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../services/local/postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Connection string of the run's database server, as a role that may create databases. */
    databaseUrl: string;
  }
}

/** Starts one Postgres for the whole run, or takes the one that SIGNET_TEST_DATABASE_URL names; suites make their own databases on it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.SIGNET_TEST_DATABASE_URL;
  if (given) {
    project.provide('databaseUrl', given);
    return async () => undefined;
  }
  const room = mkdtempSync(join(tmpdir(), 'signet-test-'));
  const server = await startEmbeddedPostgres({ dataDir: join(room, 'postgres'), fsync: false });
  project.provide('databaseUrl', server.url);
  return async () => {
    await server.stop();
    rmSync(room, { recursive: true, force: true });
  };
}
