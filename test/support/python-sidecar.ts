import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findSidecarPython } from './python.ts';

/** A real sidecar of a test's own. */
export type PythonSidecar = {
  /** `host:port` of the supervisor. */
  readonly address: string;
  /** The internal token that it asks for. */
  readonly token: string;
  readonly pid: number;
  /** Lets it drain, and waits until it has ended. */
  stop(): Promise<void>;
};

/** Starts a sidecar on a free port and resolves when it listens. `env` adds to what it is given. */
export async function startPythonSidecar(options: {
  workers: number;
  env?: NodeJS.ProcessEnv;
}): Promise<PythonSidecar> {
  const python = findSidecarPython();
  if (python === undefined) throw new Error('there is no Python for the sidecar');
  const token = 'internal-token-of-the-tests-0123456789';
  const child = spawn(python, ['-m', 'signet_sidecar'], {
    cwd: join(import.meta.dirname, '..', '..', 'python-sidecar'),
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      SIGNET_LOG_LEVEL: 'error',
      SIGNET_INTERNAL_TOKEN: token,
      SIGNET_SIDECAR_ADDRESS: '127.0.0.1:0',
      SIGNET_SIDECAR_WORKERS: String(options.workers),
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const first = once(createInterface({ input: child.stdout }), 'line');
  const [line] = await Promise.race([first, ended.then(() => Promise.reject(new Error('the sidecar did not start')))]);
  const { address } = JSON.parse(String(line)) as { address: string };
  return {
    address,
    token,
    pid: child.pid ?? 0,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
