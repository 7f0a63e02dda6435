import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import type { RegistryOptions } from '../app.ts';
import { startTestRegistry, type TestRegistry } from './registry.ts';

/** The registry of a test file, and the way to its database. */
export type UsedRegistry = TestRegistry & { readonly databaseUrl: string; readonly sql: pg.Client };

/** Gives a test file a registry on a database of its own; it stands from before the first test to after the last one. */
export function useTestRegistry(options: RegistryOptions = {}): UsedRegistry {
  const registry = {} as UsedRegistry;
  let database: TestDatabase | undefined;
  let sql: pg.Client | undefined;
  let started: TestRegistry | undefined;
  beforeAll(async () => {
    database = await createTestDatabase(['registry']);
    started = await startTestRegistry(database.url, { options });
    sql = new pg.Client(database.url);
    await sql.connect();
    Object.assign(registry, started, { sql, databaseUrl: database.url });
  });
  afterAll(async () => {
    await sql?.end();
    await started?.close();
    await database?.drop();
  });
  return registry;
}
