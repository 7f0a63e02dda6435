import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { request } from 'undici';
import { freePort } from '../../services/local/free-port.ts';
import { INPUTS } from './inputs.ts';
import type { LoadReport } from './load/job.ts';

const FOLDER = join(import.meta.dirname, 'dspy');
const READY_MAX_MS = 60_000;

/** How DSPy asks its model: through an engine object over aiohttp, or by its own client. */
export type LmKind = 'engine' | 'lm15';

/** FastAPI + DSPy under uvicorn, one process per core. */
export type FastApi = { readonly http: string; readonly pid: number; close(): Promise<void> };

/** Starts FastAPI + DSPy and waits until it answers. */
export async function startFastApi(python: string, lmUrl: string, kind: LmKind): Promise<FastApi> {
  const port = await freePort();
  const uvicorn = ['-m', 'uvicorn', 'serve:app', '--host', '127.0.0.1', '--port', String(port)];
  const args = [...uvicorn, '--workers', String(cpus().length), '--loop', 'uvloop', '--http', 'httptools'];
  const child = spawn(python, [...args, '--no-access-log', '--log-level', 'warning'], {
    ...{ cwd: FOLDER, detached: true, stdio: ['ignore', 'ignore', 'inherit'] },
    env: { ...pythonEnv(), BENCH_LM_KIND: kind, BENCH_LM_BASE: lmUrl },
  });
  const http = `http://127.0.0.1:${port}`;
  const close = () => stopTree(child);
  try {
    await waitForAnswer(`${http}/execute`, child);
  } catch (error) {
    await close();
    throw error;
  }
  return { http, pid: child.pid ?? 0, close };
}

/** DSPy in one process without a server. */
export type DspyAlone = {
  readonly pid: number;
  run(inFlight: number, seconds: number): Promise<LoadReport>;
  close(): Promise<void>;
};

/** Starts DSPy alone; its jobs go through standard input. */
export function startDspyAlone(python: string, lmUrl: string, kind: LmKind): DspyAlone {
  const child = spawn(python, ['alone.py', kind, lmUrl], {
    ...{ cwd: FOLDER, detached: true, env: pythonEnv() },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? 0,
    async run(inFlight, seconds) {
      child.stdin.write(`${JSON.stringify({ inFlight, seconds, inputs: INPUTS })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error('DSPy alone ended');
      return JSON.parse(value) as LoadReport;
    },
    close: () => stopTree(child),
  };
}

function pythonEnv(): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  const quiet = { PYTHONDONTWRITEBYTECODE: '1', LITELLM_LOCAL_MODEL_COST_MAP: 'True' };
  return { PATH, HOME, ...quiet, DSPY_CACHEDIR: join(tmpdir(), `signet-bench-dspy-${process.pid}`) };
}

async function waitForAnswer(url: string, child: ChildProcess): Promise<void> {
  const end = performance.now() + READY_MAX_MS;
  const headers = { 'content-type': 'application/json' };
  for (;;) {
    const answer = await request(url, { method: 'POST', headers, body: JSON.stringify({ inputs: INPUTS }) }).catch(
      () => undefined,
    );
    const text = await answer?.body.text();
    if (answer?.statusCode === 200) return;
    if (child.exitCode !== null) throw new Error('FastAPI ended before it answered');
    if (performance.now() > end) throw new Error(`FastAPI did not answer: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function stopTree(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const group = -child.pid;
  const late = setTimeout(() => process.kill(group, 'SIGKILL'), 5000);
  await ended;
  clearTimeout(late);
}
