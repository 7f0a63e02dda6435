import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LauncherConfig, readLauncherConfig } from './config.ts';
import { becomesTrue } from './postgres/postmaster-file.ts';
import { readRunFile } from './run-file.ts';
import { type Stack, startStack } from './stack.ts';
import { makeFakeRoot } from './test-support/fake-root.ts';

let root: string;
let stacks: Stack[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'signet-stack-'));
  makeFakeRoot(root);
});

afterEach(async () => {
  for (const stack of stacks) await stack.stop();
  stacks = [];
  rmSync(root, { recursive: true, force: true });
});

function config(more: Record<string, string> = {}): LauncherConfig {
  const anyPort = '127.0.0.1:0';
  const env = {
    PATH: process.env.PATH,
    SIGNET_LM_MODEL: 'openai/none',
    ...{ SIGNET_HTTP_ADDRESS: anyPort, SIGNET_GRPC_ADDRESS: anyPort, SIGNET_REGISTRY_ADDRESS: anyPort },
    ...{ SIGNET_EXECUTOR_ADDRESS: anyPort, SIGNET_SIDECAR_ADDRESS: anyPort, SIGNET_DATA_DIR: join(root, '.signet') },
    ...more,
  };
  return { ...readLauncherConfig(env), root };
}

async function start(signal?: AbortSignal): Promise<Stack> {
  const stack = await startStack(config(), () => undefined, signal);
  stacks.push(stack);
  return stack;
}

const runFile = () => readRunFile(join(root, '.signet', 'run.json'));
const isAlive = (pid: number | undefined) => pid !== undefined && existsSync(`/proc/${pid}`);
const ends = () => readFileSync(join(root, 'ends.txt'), 'utf8').trim().split('\n');

describe('stack', { timeout: 60_000 }, () => {
  it('says in run.json what runs where, and leaves nothing when it stops, ending in an order that drains', async () => {
    const stack = await start();
    expect(statSync(join(root, '.signet', 'run.json')).mode & 0o777).toBe(0o600);
    const run = runFile();
    expect(run).toEqual({
      registry: { pid: expect.any(Number), address: stack.doors.registry },
      executor: { pid: expect.any(Number), address: stack.doors.executor },
      gateway: { pid: expect.any(Number), http: stack.doors.http, grpc: stack.doors.grpc },
      sidecar: { pid: expect.any(Number), address: stack.doors.sidecar, workers: [] },
      postgres: {
        pid: expect.any(Number),
        url: expect.stringMatching(/^postgres:\/\/postgres:.+@127\.0\.0\.1:\d+\/signet$/),
      },
    });
    const pids = [run?.registry, run?.executor, run?.gateway, run?.sidecar, run?.postgres].map(
      (process) => process?.pid,
    );
    expect(pids.every(isAlive)).toBe(true);
    await stack.stop();
    expect(pids.some(isAlive)).toBe(false);
    expect(ends()).toEqual(['gateway', 'executor', 'registry', 'sidecar']);
    expect(runFile()).toBeUndefined();
  });

  it('starts a process that died again, where it was, and says so in run.json', async () => {
    const stack = await start();
    const before = runFile()?.gateway?.pid ?? 0;
    process.kill(before, 'SIGKILL');
    expect(await becomesTrue(() => ![before, undefined].includes(runFile()?.gateway?.pid), 10_000)).toBe(true);
    const answer = (await (await fetch(`http://${stack.doors.http}/`)).json()) as { pid: number };
    expect(answer.pid).toBe(runFile()?.gateway?.pid);
  });

  it('starts a database that died again on its address, with its data', async () => {
    await start();
    const { pid = 0, url } = runFile()?.postgres ?? { url: '' };
    await query(url, 'create table kept (n int); insert into kept values (7)');
    process.kill(pid, 'SIGKILL');
    expect(await becomesTrue(() => ![pid, undefined].includes(runFile()?.postgres?.pid), 15_000)).toBe(true);
    expect(runFile()?.postgres?.url).toBe(url);
    expect(await query(url, 'select n from kept')).toEqual([{ n: 7 }]);
  });

  it('makes the administrator key at the first start alone', async () => {
    const first = await start();
    expect([first.isKeyNew, first.adminKey]).toEqual([true, expect.stringMatching(/^sgn_/)]);
    await first.stop();
    const second = await start();
    expect([second.isKeyNew, second.adminKey]).toEqual([false, undefined]);
  });

  it('refuses a second launcher on its data', async () => {
    await start();
    await expect(start()).rejects.toThrow(/^Signet already runs in/);
    expect(runFile()?.gateway?.pid).toBeDefined();
  });

  it('keeps nothing, and no key, of a start that failed, and says why in one line', async () => {
    const script = join(root, 'services', 'registry', 'main.ts');
    const whole = readFileSync(script, 'utf8');
    writeFileSync(script, 'process.stderr.write("registry: DATABASE_URL is not set\\n"); process.exit(1);');
    await expect(start()).rejects.toThrow('registry ended with 1: registry: DATABASE_URL is not set');
    expect(ends()).toEqual(['sidecar']);
    expect([runFile(), existsSync(join(root, '.signet', 'launcher'))]).toEqual([undefined, false]);
    writeFileSync(script, whole);
    expect((await start()).isKeyNew).toBe(true);
  });

  it('ends what it began when it is stopped while it starts', async () => {
    writeFileSync(join(root, 'services', 'executor', 'main.ts'), 'setInterval(() => undefined, 1000);');
    const controller = new AbortController();
    const starting = start(controller.signal);
    expect(
      await becomesTrue(() => runFile()?.registry?.pid !== undefined && runFile()?.sidecar?.pid !== undefined, 20_000),
    ).toBe(true);
    const run = runFile();
    controller.abort();
    await expect(starting).rejects.toThrow();
    expect([run?.registry, run?.sidecar, run?.postgres].some((process) => isAlive(process?.pid))).toBe(false);
    expect(existsSync(join(root, '.signet', 'launcher'))).toBe(false);
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
