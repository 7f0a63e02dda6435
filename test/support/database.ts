import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { inject } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const SERVICES = ['registry', 'executor'] as const;
const run = promisify(execFile);

/** A service that keeps a schema of its own in the database. */
export type MigratedService = (typeof SERVICES)[number];

/** A database of one suite. */
export type TestDatabase = {
  url: string;
  /** Ends every connection to it and removes it; repeatable. */
  drop(): Promise<void>;
};

/**
 * Makes a database on the run's server: with the schemas of the named services (both when left out) or with none (`[]`). The first call of
 * a run migrates a template, later ones clone it, so a database costs about a tenth of a second.
 */
export async function createTestDatabase(services: readonly MigratedService[] = SERVICES): Promise<TestDatabase> {
  const serverUrl = inject('databaseUrl');
  const present = services.filter((service) => existsSync(migrateEntry(service)));
  const template = present.length === 0 ? 'template0' : await ensureTemplate(serverUrl, present);
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(serverUrl, (client) => client.query(`create database ${name} template ${template}`));
  return {
    url: withDatabase(serverUrl, name),
    drop: () =>
      onServer(serverUrl, async (client) => {
        await client.query(`drop database if exists ${name} with (force)`);
      }),
  };
}

function migrateEntry(service: MigratedService): string {
  return join(ROOT, 'services', service, 'migrate.ts');
}

async function ensureTemplate(serverUrl: string, services: readonly MigratedService[]): Promise<string> {
  const name = `template_${hashOf(services)}`;
  await onServer(serverUrl, async (client) => {
    // Held by the session: the other workers wait here until the template is whole.
    await client.query('select pg_advisory_lock(hashtext($1))', [name]);
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (rowCount) return;
    const draft = `${name}_draft`;
    await client.query(`drop database if exists ${draft} with (force)`);
    await client.query(`create database ${draft} template template0`);
    for (const service of services) await migrate(service, withDatabase(serverUrl, draft));
    await client.query(`alter database ${draft} rename to ${name}`);
  });
  return name;
}

async function migrate(service: MigratedService, url: string): Promise<void> {
  const env = { PATH: process.env.PATH, DATABASE_URL: url };
  await run(process.execPath, [migrateEntry(service), 'up'], { env, timeout: 60_000 });
}

function hashOf(services: readonly MigratedService[]): string {
  const hash = createHash('sha256');
  for (const service of services) {
    const folder = join(ROOT, 'services', service, 'db', 'migrations');
    hash.update(service);
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
      const path = join(folder, file);
      if (statSync(path).isFile()) hash.update(file).update(readFileSync(path));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function onServer<T>(serverUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(withDatabase(serverUrl, 'postgres'));
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
