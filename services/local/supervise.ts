import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { LaunchError } from './launch-error.ts';
import type { LogFile } from './log-file.ts';

const BACKOFF_MIN_MS = 200;
const BACKOFF_MAX_MS = 5_000;
const STEADY_MS = 10_000;
const LINES_KEPT = 30;

/** One process of the stack: how it is started, and until when it has to be there. */
export type ProcessSpec = {
  name: string;
  command: string;
  args: string[];
  cwd: string;
  /** All of its environment. Addresses in it are concrete, so that a process that is started again is found where it was. */
  env: NodeJS.ProcessEnv;
  log: LogFile;
  readyMs?: number;
  /** How long it may drain after SIGTERM before it is killed. */
  graceMs?: number;
};

/** What a process says in its line `{"event":"listening",…}`. */
export type Listening = Record<string, unknown>;

/** Hears when a supervised process came up, ended, or is started again. */
export type SupervisionListener = (event: 'up' | 'down', pid: number | undefined) => void;

/** A process that is started again whenever it dies (after 0.2 s to 5 s; from the beginning of that range once it was up for 10 s), until it is stopped. */
export class SupervisedProcess {
  readonly name: string;
  private readonly spec: ProcessSpec;
  private readonly onChange: SupervisionListener;
  private child: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private backoffMs = BACKOFF_MIN_MS;
  private wanted = false;
  private lines: string[] = [];

  constructor(spec: ProcessSpec, onChange: SupervisionListener) {
    this.name = spec.name;
    this.spec = spec;
    this.onChange = onChange;
  }

  /** The process's number while it runs. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Starts it and waits for its doors. Throws a LaunchError with what it said if it ends before, or is not up in time; then it is not tried again. */
  async start(): Promise<Listening> {
    this.wanted = true;
    try {
      return await this.launch();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Ends it: SIGTERM, time to drain, then SIGKILL for it and its own children. Repeatable. */
  async stop(): Promise<void> {
    this.wanted = false;
    clearTimeout(this.timer);
    const child = this.child;
    if (!child?.pid || hasEnded(child)) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const killer = setTimeout(() => killGroup(child), this.spec.graceMs ?? 25_000);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(killer);
    // What it may have left of its own.
    killGroup(child);
  }

  private launch(): Promise<Listening> {
    const { command, args, cwd, env, name, readyMs = 60_000 } = this.spec;
    this.lines = [];
    // Its own group, so that a Ctrl-C in the terminal does not reach it before the launcher's order does; it ends when the pipe closes.
    const child = spawn(command, args, {
      cwd,
      env: { ...env, SIGNET_PARENT_PIPE: '1' },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stdin.on('error', () => undefined);
    const upSince = performance.now();
    return new Promise<Listening>((resolve, reject) => {
      let isUp = false;
      const late = setTimeout(() => {
        reject(new LaunchError(`${name} did not come up within ${readyMs / 1000} s${this.lastWords()}`));
        killGroup(child);
      }, readyMs);
      this.read(child, (listening) => {
        isUp = true;
        clearTimeout(late);
        this.onChange('up', child.pid);
        resolve(listening);
      });
      child.once('error', (error) => reject(new LaunchError(`${name} cannot be started: ${error.message}`)));
      child.once('exit', (code, signal) => {
        clearTimeout(late);
        killGroup(child);
        if (isUp) this.onChange('down', undefined);
        if (isUp && performance.now() - upSince > STEADY_MS) this.backoffMs = BACKOFF_MIN_MS;
        const how = signal === null ? `with ${code ?? 'nothing'}` : `by ${signal}`;
        this.scheduleRestart(how, isUp);
        // Its last lines may still be in the pipe, which a process of its own can hold open.
        afterLastLines(child, () => reject(new LaunchError(`${name} ended ${how}${this.lastWords()}`)));
      });
    });
  }

  private scheduleRestart(how: string, wasUp: boolean): void {
    this.child = undefined;
    // The first start is the caller's to judge; later ones go on until they succeed.
    if (!this.wanted || !(wasUp || this.timer)) return;
    this.spec.log.note(`${this.name} ended ${how}, started again in ${this.backoffMs} ms`);
    this.timer = setTimeout(() => void this.launch().catch(() => undefined), this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, BACKOFF_MAX_MS);
  }

  private read(child: ChildProcess, onListening: (listening: Listening) => void): void {
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.spec.log.write(line);
        this.lines = [...this.lines.slice(1 - LINES_KEPT), line];
        const listening = stream === child.stdout ? readListening(line) : undefined;
        if (listening) onListening(listening);
      });
    }
  }

  private lastWords(): string {
    const said = this.lines.join('\n');
    if (/ENOSPC|No space left on device/i.test(said)) return ': the disk is full';
    // A crash of Node ends with its stack and version; what happened stands above them.
    const words = this.lines
      .map((line) => line.trim())
      .filter((line) => line !== '' && !/^(at |Node\.js v|\^+$|[{}]$)/.test(line));
    const line =
      words.findLast((candidate) => /error|cannot|refuse|taken|denied|must|not set/i.test(candidate)) ?? words.at(-1);
    return line === undefined ? '' : `: ${line.slice(0, 500)}`;
  }
}

function readListening(line: string): Listening | undefined {
  if (!line.startsWith('{') || !line.includes('listening')) return undefined;
  try {
    const parsed: unknown = JSON.parse(line);
    const isIt = typeof parsed === 'object' && parsed !== null && 'event' in parsed && parsed.event === 'listening';
    return isIt ? (parsed as Listening) : undefined;
  } catch {
    return undefined;
  }
}

function afterLastLines(child: ChildProcess, then: () => void): void {
  const timer = setTimeout(then, 300);
  child.once('close', () => {
    clearTimeout(timer);
    then();
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function killGroup(child: ChildProcess): void {
  if (!child.pid) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Nothing is left of the group.
  }
}
