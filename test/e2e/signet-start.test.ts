import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { ROOT } from '../support/source-files.ts';

type Lock = { readonly name: string; readonly path: string };
type Setup = { planVenv(venv: string, locks: readonly Lock[]): { remake: boolean; install: readonly Lock[] } };
type Run = { readonly gateway?: { readonly pid?: number; readonly http: string } };

const signet = join(ROOT, 'packages', 'cli', 'bin', 'signet.mjs');
const venv = join(process.env.SIGNET_DATA_DIR ?? join(ROOT, '.signet'), 'venv');

// A start that had to make its virtual environment would take minutes, and the network.
const setup: Setup = await import(new URL('../../services/local/setup/python.mjs', import.meta.url).href);
const locks = ['requirements', 'requirements-optimizers'].map((name) => ({
  name,
  path: join(ROOT, 'python-sidecar', `${name}.lock`),
}));
const plan = setup.planVenv(venv, locks);
const isReady = !plan.remake && plan.install.length === 0;
if (!isReady) console.warn('`signet start` is not tried: the virtual environment of the sidecar is not made yet');

const room = mkdtempSync(join(tmpdir(), 'signet-start-'));
const dataDir = join(room, 'data');
const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGTERM');
});
afterAll(() => rmSync(room, { recursive: true, force: true }));

type Started = {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly base: string;
  readonly ended: Promise<number | null>;
};

/** Starts a stack by the command, on free ports; resolves when it says that it is up. */
async function start(): Promise<Started> {
  const anyPort = '127.0.0.1:0';
  const { PATH = '', HOME = '/' } = process.env;
  const doors = ['HTTP', 'GRPC', 'REGISTRY', 'EXECUTOR', 'SIDECAR'].map((name) => [`SIGNET_${name}_ADDRESS`, anyPort]);
  const env = { PATH, HOME, ...Object.fromEntries(doors), SIGNET_DATA_DIR: dataDir, SIGNET_LM_MODEL: 'openai/none' };
  const child = spawn(process.execPath, [signet, 'start'], { cwd: room, env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  let code: number | null | undefined;
  const ended = new Promise<number | null>((resolve) =>
    child.once('close', (ending) => {
      running.delete(child);
      code = ending;
      resolve(ending);
    }),
  );
  const base = await eventually(async () => {
    if (code !== undefined) return '';
    expect(said).toContain('Ctrl-C stops everything');
    return `http://${readRun().gateway?.http}`;
  }, 120_000);
  if (base === '') throw new Error(`signet start ended with ${code}: ${said}`);
  return { child, said: () => said, base, ended };
}

const readRun = (): Run => JSON.parse(readFileSync(join(dataDir, 'run.json'), 'utf8'));

type Member = { readonly pid: number; readonly name: string };

/** A process and all that it began, directly or not. */
function familyOf(first: number): Member[] {
  const all = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const parents = new Map(all.map((pid) => [Number(pid), statOf(Number(pid))]));
  const family: Member[] = [{ pid: first, name: 'signet' }];
  for (const { pid: parent } of family)
    for (const [pid, stat] of parents) if (stat?.parent === parent) family.push({ pid, name: stat.name });
  return family;
}

function statOf(pid: number): { parent: number; state: string; name: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [, state = '', parent] = stat.slice(stat.lastIndexOf(')')).split(' ');
    return { parent: Number(parent), state, name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')) };
  } catch {
    return undefined;
  }
}

async function stop({ child, ended }: Started): Promise<{ code: number | null; left: string[]; count: number }> {
  const family = familyOf(child.pid!);
  child.kill('SIGTERM');
  const code = await ended;
  // One that has ended and waits for somebody to ask how is no process any more.
  const left = family.filter(({ pid }) => ![undefined, 'Z'].includes(statOf(pid)?.state));
  return { code, left: left.map(({ name }) => name), count: family.length };
}

describe.skipIf(!isReady || !existsSync('/proc/self/stat'))('`signet start`', () => {
  it('stands on free ports, ends whole at SIGTERM, and finds its data when it is started again', {
    timeout: 400_000,
  }, async () => {
    mkdirSync(dataDir, { recursive: true });
    symlinkSync(venv, join(dataDir, 'venv'));
    const first = await start();
    expect((await fetch(`${first.base}/readyz`)).status).toBe(200);
    const key = /export SIGNET_KEY=(sgn_\S+)/.exec(first.said())?.[1];
    expect(key).toBeDefined();
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const body = JSON.stringify({ name: 'Kept', signature_spec: 'question -> answer' });
    expect((await fetch(`${first.base}/v1/programs`, { method: 'POST', headers, body })).status).toBe(201);

    // Launcher, database, registry, executor, gateway, sidecar and its workers.
    const end = await stop(first);
    expect(end.count).toBeGreaterThan(6);
    expect([end.code, end.left]).toEqual([0, []]);
    expect(first.said()).toContain('stopped');
    expect(existsSync(join(dataDir, 'run.json'))).toBe(false);
    await expect(fetch(`${first.base}/readyz`)).rejects.toThrow();

    const second = await start();
    expect(second.said()).not.toContain('sgn_');
    const found = await fetch(`${second.base}/v1/programs/kept`, { headers });
    expect([found.status, await found.json()]).toEqual([200, expect.objectContaining({ name: 'Kept' })]);
    expect(await stop(second)).toMatchObject({ code: 0, left: [] });
  });

  it('says in one line what is wrong with its settings, and begins nothing', { timeout: 60_000 }, async () => {
    const { PATH = '' } = process.env;
    mkdirSync(join(room, 'bad'), { recursive: true });
    symlinkSync(venv, join(room, 'bad', 'venv'));
    const env = { PATH, SIGNET_DATA_DIR: join(room, 'bad'), SIGNET_HTTP_ADDRESS: 'nowhere' };
    const child = spawn(process.execPath, [signet, 'start'], { cwd: room, env });
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(1);
    expect(err).toContain('SIGNET_HTTP_ADDRESS');
    expect(readdirSync(join(room, 'bad'))).toEqual(['venv']);
  });
});
