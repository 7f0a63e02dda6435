import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Why nothing can be run in containers here; undefined where it can. */
export async function whyNoEngine(): Promise<string | undefined> {
  if (process.env.SIGNET_TEST_NO_ENGINE) return process.env.SIGNET_TEST_NO_ENGINE;
  try {
    await docker(['info', '--format', '{{.ServerVersion}}'], { timeoutMs: 15_000 });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: string };
    return code === 'ENOENT' ? 'there is no docker command' : `no container engine answers: ${stderr?.trim()}`;
  }
  try {
    await docker(['compose', 'version'], { timeoutMs: 15_000 });
    return undefined;
  } catch {
    return 'docker has no compose';
  }
}

/** What a call of docker may be given besides its arguments. */
export type DockerOptions = {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What it reads; nothing unless said. */
  readonly input?: string;
};

/** Runs docker and gives what it printed; throws with its complaint. */
export async function docker(args: readonly string[], options: DockerOptions = {}): Promise<string> {
  const running = run('docker', [...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? 120_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(options.input ?? '');
  return (await running).stdout.trim();
}
