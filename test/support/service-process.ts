import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const READY_MS = 25_000;
const LINES_MAX = 20_000;

/** How one process of the product is started. */
export type ServiceProcessSpec = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
};

/** A process of the product that a test holds in its hand. */
export type ServiceProcess = {
  readonly pid: number;
  /** What its `listening` line said: addresses by door. */
  readonly listening: Readonly<Record<string, string>>;
  /** What it printed so far, both outputs. */
  readonly lines: readonly string[];
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Sends a signal to it, and by SIGKILL to all that it started. */
  kill(signal: NodeJS.Signals): void;
  /** Asks it to end and waits; after 15 s it is killed. Repeatable. */
  stop(): Promise<void>;
};

/** Starts a process and waits for its `listening` line; throws with its last words when it ends before. */
export async function startServiceProcess(spec: ServiceProcessSpec): Promise<ServiceProcess> {
  const child = spawn(spec.command, [...spec.args], {
    cwd: spec.cwd,
    // It ends when this process is gone, however that went.
    env: { ...spec.env, SIGNET_PARENT_PIPE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  child.stdin.on('error', () => undefined);
  const lines: string[] = [];
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) => {
    child.once('exit', (code, signal) => done({ code, signal }));
    child.once('error', () => done({ code: null, signal: null }));
  });
  const listening = await readListening(child, lines, spec.name);
  const kill = (signal: NodeJS.Signals): void => signalTo(child, signal);
  return {
    pid: child.pid ?? 0,
    listening,
    lines,
    ended,
    kill,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      kill('SIGTERM');
      const late = setTimeout(() => kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(late);
    },
  };
}

function readListening(child: ChildProcess, lines: string[], name: string): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void => {
      reject(new Error(`${name} ${what}\n${lines.slice(-20).join('\n')}`));
    };
    const late = setTimeout(() => {
      fail(`did not listen within ${READY_MS / 1000} s`);
      signalTo(child, 'SIGKILL');
    }, READY_MS);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        if (lines.length < LINES_MAX) lines.push(line);
        const found = stream === child.stdout ? parseListening(line) : undefined;
        if (found === undefined) return;
        clearTimeout(late);
        resolve(found);
      });
    }
    child.once('error', (error) => fail(`cannot be started: ${error.message}`));
    child.once('close', (code, signal) => {
      clearTimeout(late);
      fail(`ended (${code ?? signal}) before it listened`);
    });
  });
}

function parseListening(line: string): Record<string, string> | undefined {
  if (!line.startsWith('{') || !line.includes('"listening"')) return undefined;
  try {
    const said = JSON.parse(line) as Record<string, string>;
    // A process with one door names it by its kind.
    return said.event === 'listening' ? { ...said, address: said.address ?? said.grpc ?? '' } : undefined;
  } catch {
    return undefined;
  }
}

function signalTo(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(signal === 'SIGKILL' ? -child.pid : child.pid, signal);
  } catch {
    // It is gone already.
  }
}
