import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/support/database.ts';
import { refusal, startTestRegistry } from '../test-support/registry.ts';
import { migrate } from './migrate.ts';
import { createOrm } from './orm.ts';

const names = readdirSync(join(import.meta.dirname, 'migrations'))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort();

let database: TestDatabase;
let client: pg.Client;

beforeEach(async () => {
  database = await createTestDatabase([]);
  client = new pg.Client(database.url);
  await client.connect();
});
afterEach(async () => {
  await client?.end();
  await database?.drop();
});

/** All that decides the shape of the schema, as sorted lines. */
async function shape(): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(`
    select format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) as line
      from information_schema.columns where table_schema = 'registry'
    union all select indexdef from pg_indexes where schemaname = 'registry'
    union all select format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint
      where connamespace = to_regnamespace('registry')
    union all select 'extension ' || extname from pg_extension
    order by 1`);
  return rows.map(({ line }) => line);
}

async function fill(): Promise<void> {
  const registry = await startTestRegistry(database.url);
  const made = await registry.createProgram({ name: 'filled' });
  await registry.makeReady(made.id);
  await registry.close();
}

describe('migrations', () => {
  it('MIG-01 MIG-03 go up, all the way down and up again, and leave the same schema', async () => {
    const up = await migrate(database.url, 'up');
    expect(up.executed).toEqual(names);
    const first = await shape();
    const down = await migrate(database.url, 'down', { steps: 'all' });
    expect(down.executed).toEqual([...up.executed].reverse());
    expect((await shape()).filter((line) => !/migrations/.test(line))).toEqual(['extension plpgsql']);
    await migrate(database.url, 'up');
    expect(await shape()).toEqual(first);
    expect(await migrate(database.url, 'status')).toMatchObject({ executed: [], pending: [] });
  });

  it('MIG-03 go down one by one and up again on a filled database, if losing its rows is allowed', async () => {
    await fill();
    const first = await shape();
    const refused = await refusal(migrate(database.url, 'down'));
    expect(refused.message).toContain('holds rows');
    expect(await shape()).toEqual(first);
    expect((await client.query('select count(*)::int as n from registry.programs')).rows[0].n).toBe(1);
    for (const name of [...names].reverse()) {
      expect((await migrate(database.url, 'down', { loseData: true })).executed).toEqual([name]);
    }
    await fill();
    expect(await shape()).toEqual(first);
  });

  it('MIG-02 have the three indexes of signatures', async () => {
    await migrate(database.url, 'up');
    const indexes = (await shape())
      .filter((line) => /^CREATE .*INDEX .* ON registry.signatures /.test(line))
      .join('\n');
    expect(indexes).toMatch(/UNIQUE INDEX .* \(module\)/);
    expect(indexes).toMatch(/INDEX signatures_name .* \(name\)/);
    expect(indexes).toMatch(/INDEX signatures_status .* \(status\)/);
  });

  it('DOM-07 install their extensions, and remove only those that they installed', async () => {
    await client.query('create extension citext');
    await migrate(database.url, 'up');
    const installed = await client.query('select name from registry.installed_extensions');
    expect(installed.rows).toEqual([{ name: 'uuid-ossp' }]);
    await migrate(database.url, 'down', { steps: 'all' });
    const left = await client.query(`select extname from pg_extension where extname <> 'plpgsql'`);
    expect(left.rows).toEqual([{ extname: 'citext' }]);
  });

  it('DOM-07 go without extensions where they are not allowed', async () => {
    const role = `limited_${new URL(database.url).pathname.slice(1)}`;
    await client.query(`create role ${role} login password 'limited'; create schema registry authorization ${role}`);
    try {
      const url = new URL(database.url);
      url.username = role;
      url.password = 'limited';
      // citext is trusted: whoever may create in the database may install it. Here nobody may.
      const report = await migrate(url.href, 'up');
      expect(report.pending).toEqual([]);
      expect(report.missingExtensions).toEqual(['uuid-ossp', 'citext']);
    } finally {
      await client.query(`drop owned by ${role} cascade; drop role ${role}`);
    }
  });

  it('run once when five start at the same time', async () => {
    const reports = await Promise.all(Array.from({ length: 5 }, () => migrate(database.url, 'up')));
    expect(reports.filter(({ executed }) => executed.length > 0)).toHaveLength(1);
  });

  it('agree with the entities on every column', async () => {
    await migrate(database.url, 'up');
    const orm = await createOrm(database.url, 1);
    try {
      const sql = await orm.schema.getUpdateSchemaSQL({ schema: 'registry' });
      // What only the migrations know (checks, indexes, defaults) is theirs; columns and types are both's.
      const columns = sql
        .split('\n')
        .filter((line) => /add column|drop column| type |not null|create table|add "/i.test(line));
      expect(columns).toEqual([]);
    } finally {
      await orm.close();
    }
  });

  it('fill defaults as the founding tables have them', async () => {
    await migrate(database.url, 'up');
    const { rows } = await client.query(
      `insert into registry.signatures (name, module, spec, complexity) values ('n', 'A.B', 'a -> b', 2) returning *`,
    );
    expect(rows[0]).toMatchObject({ status: 'draft', version: '1.0.0', inputs: [], outputs: [], metadata: {} });
    expect(rows[0].id).toMatch(/^[0-9a-f-]{36}$/);
    const bad = [
      `update registry.signatures set status = 'nonsense'`,
      `update registry.signatures set module = 'not a module'`,
      `insert into registry.signatures (name, module, spec, complexity) values ('n', 'A.B', 'a -> b', 2)`,
    ];
    for (const statement of bad)
      await expect(client.query(statement)).rejects.toHaveProperty('code', expect.stringMatching(/^23/));
  });
});
