import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { becomesTrue } from './postgres/postmaster-file.ts';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './postgres.ts';

let room: string;
let running: EmbeddedPostgres[] = [];
let holders: ChildProcess[] = [];

beforeEach(() => {
  room = mkdtempSync(join(tmpdir(), 'signet-postgres-'));
  chmodSync(room, 0o755);
});

afterEach(async () => {
  for (const holder of holders) holder.kill('SIGKILL');
  await Promise.all(running.map((server) => server.stop()));
  running = [];
  holders = [];
  rmSync(room, { recursive: true, force: true });
});

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir: join(room, 'postgres'), ...options });
  running.push(server);
  return server;
}

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function hold(dataDir: string): Promise<{ holder: ChildProcess; pid: number; url: string; socketDir: string }> {
  const holder = spawn(process.execPath, [join(import.meta.dirname, 'test-support', 'hold-postgres.ts'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  holders.push(holder);
  for await (const line of createInterface({ input: holder.stdout })) return { holder, ...JSON.parse(line) };
  throw new Error('the holder ended before its server stood');
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

describe('embedded Postgres', { timeout: 60_000 }, () => {
  it('starts with the database signet, durable, and finds its data again after a stop', async () => {
    const first = await start();
    await query(first.url, 'create table kept (n int); insert into kept values (7)');
    expect(await query(first.url, "select current_database() as name, current_setting('fsync') as fsync")).toEqual([
      { name: 'signet', fsync: 'on' },
    ]);
    await first.stop();
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);
    expect(existsSync(first.socketDir)).toBe(false);

    const second = await start();
    expect(await query(second.url, 'select n from kept')).toEqual([{ n: 7 }]);
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
  });

  it('keeps its password to its owner and refuses every other one', async () => {
    const server = await start({ fsync: false });
    expect(statSync(join(room, 'postgres', 'password')).mode & 0o777).toBe(0o600);
    const foreign = new URL(server.url);
    foreign.password = 'guess';
    await expect(query(foreign.href, 'select 1')).rejects.toThrow(/password authentication failed/);
  });

  it('answers on its Unix socket', async () => {
    const server = await start({ fsync: false });
    const password = new URL(server.url).password;
    const client = new pg.Client({
      host: server.socketDir,
      port: server.port,
      user: 'postgres',
      password,
      database: 'signet',
    });
    await client.connect();
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await client.end();
  });

  it('runs below a folder that only its owner may enter', async () => {
    chmodSync(room, 0o700);
    const server = await start({ fsync: false });
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('shuts its server down when the process that started it is killed', async () => {
    const held = await hold(join(room, 'postgres'));
    held.holder.kill('SIGKILL');
    expect(await becomesTrue(() => !isAlive(held.pid) && !existsSync(held.socketDir), 10_000)).toBe(true);
  });

  it('stops a server that still lives on its data and loses nothing of it', async () => {
    const held = await hold(join(room, 'postgres'));
    await query(held.url, 'create table kept (n int); insert into kept values (7)');
    const lines: string[] = [];
    const server = await start({ log: (line) => lines.push(line) });
    expect(lines).toEqual(['stopped the database server of an earlier run']);
    expect(isAlive(held.pid)).toBe(false);
    expect(await query(server.url, 'select n from kept')).toEqual([{ n: 7 }]);
  });

  it('gives each start a socket folder of its own and removes the one that a killed run left', async () => {
    const first = await start({ fsync: false });
    await first.stop();
    const left = mkdtempSync(join(tmpdir(), 'signet-pg-'));
    writeFileSync(join(left, '.s.PGSQL.5432'), '');
    writeFileSync(join(room, 'postgres', 'socket-folder'), `${left}\n`);
    const second = await start({ fsync: false });
    expect(second.socketDir).not.toBe(first.socketDir);
    expect([existsSync(left), existsSync(second.socketDir)]).toEqual([false, true]);
  });

  it('removes nothing else that the record of its socket folder may name', async () => {
    const other = join(room, 'other');
    mkdirSync(join(room, 'postgres'), { recursive: true });
    mkdirSync(other);
    writeFileSync(join(room, 'postgres', 'socket-folder'), other);
    await start({ fsync: false });
    expect(existsSync(other)).toBe(true);
  });

  it('comes back on its port with what was committed after it was killed', async () => {
    const first = await start();
    await query(first.url, 'create table kept (n int); insert into kept values (7)');
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    const second = await start({ port: first.port });
    expect(second.url).toBe(first.url);
    expect(await query(second.url, 'select n from kept')).toEqual([{ n: 7 }]);
  });

  it.each([
    ['a number that nobody has', '4194303'],
    ['a number of a process that is somebody else', String(process.pid)],
    ['garbage', 'not a number'],
  ])('ignores a stale postmaster.pid with %s', async (_what, pid) => {
    const first = await start({ fsync: false });
    await first.stop();
    writeFileSync(join(room, 'postgres', 'cluster', 'postmaster.pid'), `${pid}\n${room}\n`);
    const second = await start({ fsync: false });
    expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(isAlive(process.pid)).toBe(true);
  });

  it('makes a half-made data folder afresh', async () => {
    mkdirSync(join(room, 'postgres', 'cluster.new'), { recursive: true });
    writeFileSync(join(room, 'postgres', 'cluster.new', 'PG_VERSION'), '18\n');
    const server = await start({ fsync: false });
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('says in one line that its port is taken', async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const address = other.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(start({ port })).rejects.toThrow(new RegExp(`^port ${port} for the embedded Postgres is taken$`));
    other.close();
  });

  it('refuses data of another version by name', async () => {
    mkdirSync(join(room, 'postgres', 'cluster'), { recursive: true });
    writeFileSync(join(room, 'postgres', 'cluster', 'PG_VERSION'), '15\n');
    await expect(start()).rejects.toThrow(/was made by Postgres 15, this Signet brings 18/);
  });
});
