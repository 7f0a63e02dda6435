import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GetProgramRequest, ProgramServiceService } from '@signet/proto/gen/signet/v1/program_service.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase } from '../support/database.ts';
import { createGrpcClient, failureOf } from '../support/grpc-clients.ts';
import { createProgram, demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { query } from '../support/query.ts';
import { ROOT } from '../support/source-files.ts';
import { type Stack, startStack } from '../support/stack.ts';

const run = promisify(execFile);

let stack: Stack;
beforeAll(async () => {
  stack = await startStack({ engines: 'mock' });
});
afterAll(() => stack?.close());

const migrate = (service: string, verb: string, url: string, ...flags: string[]) =>
  run(process.execPath, [join(ROOT, 'services', service, 'migrate.ts'), verb, ...flags], {
    env: { PATH: process.env.PATH, DATABASE_URL: url },
  });

const tablesOf = async (url: string, schema: string): Promise<string[]> => {
  const sql = `select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') as line
    from information_schema.columns where table_schema = $1 and table_name not like '%migration%' order by 1`;
  const indexes = 'select indexdef as line from pg_indexes where schemaname = $1 and tablename not like $2 order by 1';
  const rows = [...(await query(url, sql, [schema])), ...(await query(url, indexes, [schema, '%migration%']))];
  return rows.map(({ line }) => String(line));
};

describe('the platform', () => {
  it('DOM-01 serves every resource of the domain at one door, and the inner doors serve no caller', async () => {
    for (const path of ['/v1/signatures', '/v1/programs', '/v1/executions', '/v1/apiKeys']) {
      expect([path, (await stack.http.get(path)).status]).toEqual([path, 200]);
    }
    for (const owner of ['registry', 'executor'] as const) {
      const inner = createGrpcClient(stack.address(owner), stack.adminKey);
      const error = await inner.fails(
        ProgramServiceService.getProgram,
        GetProgramRequest.fromPartial({ program: 'x' }),
      );
      expect([owner, [12, 16]]).toEqual([owner, expect.arrayContaining([error.code])]);
      if (error.code === 16) expect(failureOf(error).reason).toBe('KEY_MISSING');
      inner.close();
    }
  });

  it('DOM-02 keeps the layers apart: the gateway holds no data, and whoever is lost loses none', async () => {
    const { slug } = await readyProgram(stack);
    const environment = readFileSync(`/proc/${stack.pid('gateway')}/environ`, 'utf8');
    expect(environment).not.toContain('DATABASE_URL');
    expect(environment).not.toContain('SIGNET_SECRET_KEY');
    for (const name of ['gateway', 'registry', 'executor'] as const) {
      await stack.kill(name);
      await stack.restart(name);
    }
    await expect
      .poll(async () => (await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS })).status, {
        timeout: 15_000,
      })
      .toBe(200);
  });

  it('DOM-04 keeps everything in Postgres, each service in a schema of its own', async () => {
    const { id, slug, signatureId } = await readyProgram(stack);
    const ran = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
    expect(await query(stack.databaseUrl, 'select id from registry.programs where id = $1', [id])).toHaveLength(1);
    expect(
      await query(stack.databaseUrl, 'select id from registry.signatures where id = $1', [signatureId]),
    ).toHaveLength(1);
    expect(
      await query(stack.databaseUrl, 'select id from executor.executions where id = $1', [ran.executionId]),
    ).toHaveLength(1);
    const crossing = `select conname from pg_constraint c join pg_class a on a.oid = c.conrelid join pg_class b on b.oid = c.confrelid
      where c.contype = 'f' and a.relnamespace <> b.relnamespace`;
    expect(await query(stack.databaseUrl, crossing)).toEqual([]);
  });

  it.each(['registry', 'executor', 'gateway'])(
    'DOM-05 names every fault of the configuration of %s in one message',
    async (name) => {
      const env = {
        PATH: process.env.PATH,
        SIGNET_HTTP_ADDRESS: 'nowhere',
        SIGNET_REGISTRY_ADDRESS: 'nowhere',
        SIGNET_EXECUTOR_ADDRESS: 'no:port',
        OTEL_TRACES_SAMPLER: 'sometimes',
      };
      const ended = await run(process.execPath, [join(ROOT, 'services', name, 'main.ts')], {
        env,
        timeout: 20_000,
      }).catch((error: { code: number; stderr: string }) => error);
      expect('code' in ended && ended.code).toBe(1);
      const lines = ended.stderr.trim().split('\n');
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain('OTEL_TRACES_SAMPLER');
      expect(lines[0]).toContain(name === 'executor' ? 'SIGNET_EXECUTOR_ADDRESS' : 'SIGNET_REGISTRY_ADDRESS');
    },
  );

  it('DOM-06 takes the database from DATABASE_URL and bounds its connections', async () => {
    const { slug } = await readyProgram(stack);
    const counts: number[] = [];
    const load = Promise.all(
      Array.from({ length: 300 }, (_, at) =>
        at % 2 ? stack.http.get('/v1/programs') : stack.http.get(`/v1/programs/${slug}/statistics`),
      ),
    );
    let loading = true;
    void load.finally(() => {
      loading = false;
    });
    while (loading) {
      const [row] = await query(
        stack.databaseUrl,
        'select count(*)::int as n from pg_stat_activity where datname = current_database()',
      );
      counts.push(Number(row?.n));
    }
    expect((await load).every(({ status }) => status === 200)).toBe(true);
    // Ten of the registry, ten of the executor, and those that listen and look.
    expect(Math.max(...counts)).toBeLessThanOrEqual(26);
  });

  it('DOM-07 installs uuid-ossp and citext, and ids come from the services', async () => {
    const rows = await query(
      stack.databaseUrl,
      "select extname from pg_extension where extname in ('uuid-ossp', 'citext') order by 1",
    );
    expect(rows).toEqual([{ extname: 'citext' }, { extname: 'uuid-ossp' }]);
    const { id } = await createProgram(stack);
    expect(String(id)[14]).toBe('7');
  });
});

describe('migrations', () => {
  it('MIG-01 keeps signatures with the columns and defaults of the founding table', async () => {
    const sql = `select column_name, is_nullable, column_default from information_schema.columns where table_schema = 'registry' and table_name = 'signatures'`;
    const columns = new Map((await query(stack.databaseUrl, sql)).map((row) => [String(row.column_name), row]));
    for (const name of ['id', 'name', 'module', 'inputs', 'outputs', 'version', 'status'])
      expect([name, columns.get(name)?.is_nullable]).toEqual([name, 'NO']);
    for (const name of ['description', 'spec', 'metadata']) expect([name, columns.has(name)]).toEqual([name, true]);
    const insert = `insert into registry.signatures (id, name, module, status) values (gen_random_uuid(), 'x', $1, $2)`;
    await expect(query(stack.databaseUrl, insert, ['lower', 'draft'])).rejects.toThrow();
    await expect(query(stack.databaseUrl, insert, ['Upper', 'sleeping'])).rejects.toThrow();
  });

  it('MIG-02 indexes signatures by module (once only), name and status', async () => {
    const rows = await query(
      stack.databaseUrl,
      "select indexdef from pg_indexes where schemaname = 'registry' and tablename = 'signatures'",
    );
    const indexes = rows.map(({ indexdef }) => String(indexdef));
    expect(indexes.some((index) => /UNIQUE .*\(module\)/.test(index))).toBe(true);
    expect(indexes.some((index) => /^CREATE INDEX .*\(name[,)]/.test(index))).toBe(true);
    expect(indexes.some((index) => /^CREATE INDEX .*\(status[,)]/.test(index))).toBe(true);
  });

  it.each(['registry', 'executor'])(
    'MIG-03 goes up, down and up again in %s and comes out the same',
    async (service) => {
      const database = await createTestDatabase([]);
      try {
        await migrate(service, 'up', database.url);
        const before = await tablesOf(database.url, service);
        expect(before.length).toBeGreaterThan(10);
        await migrate(service, 'up', database.url);
        expect(await tablesOf(database.url, service)).toEqual(before);
        await migrate(service, 'down', database.url);
        expect((await tablesOf(database.url, service)).length).toBeLessThan(before.length);
        await migrate(service, 'up', database.url);
        expect(await tablesOf(database.url, service)).toEqual(before);
      } finally {
        await database.drop();
      }
    },
  );

  it('MIG-03 refuses a way down that would lose data', async () => {
    const database = await createTestDatabase();
    const filled = await startStack({ engines: 'mock', databaseUrl: database.url });
    try {
      await readyProgram(filled);
      await filled.close();
      await expect(migrate('registry', 'down', database.url)).rejects.toThrow();
      expect((await query(database.url, 'select count(*)::int as n from registry.programs'))[0]?.n).toBe(1);
    } finally {
      await filled.close();
      await database.drop();
    }
  });
});
