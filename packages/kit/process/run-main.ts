import { ConfigError } from '../config/env.ts';
import { redact } from '../log/redact.ts';

/** A service that is up. */
export type Running = {
  /** Where its doors are, by door. */
  readonly listening: Readonly<Record<string, string>>;
  /** Drains and closes; resolves when nothing is left. */
  close(): Promise<void>;
};

/**
 * Runs a service as a process: checks Node's version, prints one JSON line `{"event":"listening",…}` on standard output when it
 * is up, drains on SIGTERM and SIGINT, and ends with 0. With SIGNET_PARENT_PIPE=1 it also ends when standard input closes, so
 * that it never outlives the one who started it. A start that fails prints one line and ends with 1.
 */
export async function runMain(name: string, start: (env: NodeJS.ProcessEnv) => Promise<Running>): Promise<void> {
  if (Number(process.versions.node.split('.')[0]) < 24)
    fail(name, `needs Node.js 24 or newer, this is ${process.version}`);
  let running: Running;
  try {
    running = await start(process.env);
  } catch (error) {
    fail(name, startFault(error));
  }
  process.stdout.write(`${JSON.stringify({ event: 'listening', ...running.listening })}\n`);
  let closing = false;
  const stop = (): void => {
    if (closing) return;
    closing = true;
    setTimeout(() => process.exit(1), 20_000).unref();
    running.close().then(
      () => process.exit(0),
      (error: unknown) => fail(name, startFault(error)),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (process.env.SIGNET_PARENT_PIPE === '1') process.stdin.resume().on('end', stop).on('error', stop);
}

function startFault(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') return `port taken: ${error.message}`;
  return error.stack !== undefined && process.env.SIGNET_LOG_LEVEL === 'debug' ? error.stack : error.message;
}

function fail(name: string, message: string): never {
  process.stderr.write(redact(`${name}: ${message}\n`));
  process.exit(1);
}
