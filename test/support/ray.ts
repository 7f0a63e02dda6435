import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from './source-files.ts';

type Lock = { readonly name: string; readonly path: string };
type Setup = { makeVenv(venv: string, locks: readonly Lock[]): Promise<void>; venvPython(venv: string): string };

const venv = join(process.env.SIGNET_DATA_DIR ?? join(ROOT, '.signet'), 'ray-venv');
const startMs = 60_000;
// Not 127.0.0.1, which Ray takes for a wish to be found by the machine's own address.
const host = '127.0.0.2';

/** Why tests with Ray are left out here; undefined where they can run. */
export function whyNoRay(): string | undefined {
  if (process.platform !== 'linux') return 'Ray’s processes are told apart by /proc';
  if (process.env.SIGNET_TEST_RAY === '1' || existsSync(venv)) return undefined;
  return 'Ray is not installed: SIGNET_TEST_RAY=1 installs it by hash into .signet/ray-venv (450 MB)';
}

/** Makes the virtual environment that has the sidecar's packages and Ray, or finds it made; gives its Python. */
export async function ensureRay(): Promise<string> {
  // Plain JavaScript without declarations: it also runs before anything is installed.
  const setup: Setup = await import(new URL('../../services/local/setup/python.mjs', import.meta.url).href);
  const names = ['requirements', 'requirements-optimizers', 'requirements-ray'];
  await setup.makeVenv(
    venv,
    names.map((name) => ({ name, path: join(ROOT, 'python-sidecar', `${name}.lock`) })),
  );
  return setup.venvPython(venv);
}

/** A cluster of one node, of a test's own. */
export type TestRay = {
  /** `host:port`. */
  readonly address: string;
  /** What a process needs that connects. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends all of it and waits. */
  close(): Promise<void>;
};

/** Starts Ray on a loopback address, on ports that the system picks, with a token of its own; `cpus` is how many actors it takes. */
export async function startRay(python: string, cpus: number): Promise<TestRay> {
  const folder = await mkdtemp(join(tmpdir(), 'signet-ray-'));
  const auth = { RAY_AUTH_MODE: 'token', RAY_AUTH_TOKEN: randomBytes(32).toString('hex') };
  const ports = ['--port=0', `--ray-client-server-port=${await freePort()}`];
  const options = ['--head', `--node-ip-address=${host}`, ...ports, `--num-cpus=${cpus}`];
  const lean = ['--include-dashboard=false', '--disable-usage-stats', '--object-store-memory=80000000'];
  const child = spawn(join(dirname(python), 'ray'), ['start', ...options, ...lean, `--temp-dir=${folder}`, '--block'], {
    // Nodes find the sidecar's own code here.
    env: { PATH: process.env.PATH, HOME: folder, PYTHONPATH: join(ROOT, 'python-sidecar'), ...auth },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  const close = async (): Promise<void> => {
    signal(child, 'SIGTERM');
    const late = setTimeout(() => signal(child, 'SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    return { address: await addressOf(child), env: auth, close };
  } catch (error) {
    await close();
    throw error;
  }
}

// Ray takes no 0 for this one.
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function addressOf(child: ChildProcess): Promise<string> {
  const lines: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => reject(new Error(`Ray ${what}\n${lines.slice(-20).join('\n')}`));
    const late = setTimeout(() => fail(`did not start within ${startMs} ms`), startMs);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream! }).on('line', (line) => {
        lines.push(line);
        const address = /--address='([^']+)'/.exec(line)?.[1];
        if (address === undefined) return;
        clearTimeout(late);
        resolve(address);
      });
    }
    child.once('error', (error) => fail(`cannot be started: ${error.message}`));
    child.once('close', () => fail('ended'));
  });
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(name === 'SIGKILL' ? -pid : pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The command lines of a process's parents, the nearest first. */
export function parentsOf(pid: number): { pid: number; command: string }[] {
  const parents: { pid: number; command: string }[] = [];
  for (let at = parentOf(pid); at > 1; at = parentOf(at)) {
    parents.push({ pid: at, command: readFileSync(`/proc/${at}/cmdline`, 'utf8').replaceAll('\0', ' ') });
  }
  return parents;
}

function parentOf(pid: number): number {
  return Number(
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[1],
  );
}
