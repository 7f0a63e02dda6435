import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Terminal } from '../terminal.ts';

/** What starts a child in the foreground and ends with its code. */
export type Launch = (command: string, args: readonly string[]) => Promise<void>;

/** `signet start` and `signet migrate`, which work on this machine and not through the API. */
export function localCommands(launch: Launch): Command[] {
  const start = new Command('start')
    .summary('start a whole stack on this machine and keep it up')
    .description(
      'Sets up what is missing and starts database, language model, registry, executor, sidecar and gateway; Ctrl-C stops everything, the data stays. Where it listens is set by the environment (SIGNET_HTTP_ADDRESS, SIGNET_DATA_DIR …).',
    )
    .action(() => launch('start', []));
  const migrate = new Command('migrate')
    .summary('bring the database up or down, or tell where it stands')
    .description(
      'Runs the migrations of registry and executor against DATABASE_URL, or the embedded database while nothing else uses it.',
    )
    .argument('[direction]', 'up, down or status', 'up')
    .option('--steps <number>', 'down: how many of each service')
    .option('--all', 'down: all of them')
    .option('--lose-data', 'down: also where rows would be lost')
    .action((direction: string, flags: { steps?: string; all?: boolean; loseData?: boolean }) => {
      const steps = flags.steps === undefined ? [] : ['--steps', flags.steps];
      const more = [...(flags.all ? ['--all'] : []), ...(flags.loseData ? ['--lose-data'] : [])];
      return launch('migrate', [direction, ...steps, ...more]);
    });
  return [start, migrate].map((command) => command.helpGroup('This machine:'));
}

/** Runs a command of the launcher on this terminal, passes signals on, and gives its exit code. */
export function runLauncher(root: string, terminal: Terminal, args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [join(root, 'services', 'local', 'bootstrap.mjs'), ...args], {
    stdio: 'inherit',
    env: { ...terminal.env },
  });
  // Ctrl-C reaches the child by the terminal as well: it takes both for one.
  terminal.stop.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}
