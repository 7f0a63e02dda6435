import { ConfigError } from '@signet/kit/config/env.ts';
import { readLauncherConfig } from './config.ts';
import { demo } from './demo.ts';
import { explainSystemError, LaunchError } from './launch-error.ts';
import { migrate } from './migrate.ts';
import { start } from './start.ts';

const PARENT_POLL_MS = 1_000;

/** What a command gets: its arguments, and a signal that asks it to end. */
type Command = (args: string[], stop: AbortSignal) => Promise<number>;

const COMMANDS: Record<string, Command> = {
  start: (_args, stop) => start(readLauncherConfig(process.env), stop),
  demo: (_args, stop) => demo(readLauncherConfig(process.env), stop),
  migrate: (args, stop) => migrate(readLauncherConfig(process.env), args, stop),
};

// Ctrl-C may arrive twice (from the terminal and from npm): it asks once, and every end below is bounded in time.
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  // Whoever started us may be killed without a word.
  const parent = process.ppid;
  setInterval(() => process.ppid === parent || controller.abort(), PARENT_POLL_MS).unref();
  return controller.signal;
}

async function main(name: string | undefined, args: string[]): Promise<number> {
  const command = COMMANDS[name ?? ''];
  if (!command) throw new LaunchError(`unknown command ${name ?? ''}`);
  const stop = stopSignal();
  try {
    return await command(args, stop);
  } catch (error) {
    if (stop.aborted) return 0;
    throw error;
  }
}

try {
  process.exitCode = await main(process.argv[2], process.argv.slice(3));
} catch (caught) {
  const error = explainSystemError(caught, process.env.SIGNET_DATA_DIR ?? '.signet');
  const isPlain = error instanceof LaunchError || error instanceof ConfigError;
  process.stderr.write(`signet: ${isPlain ? error.message : error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
}
// A socket that somebody kept must not hold the command back.
process.exit();
