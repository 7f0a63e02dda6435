import { parseArgs } from 'node:util';
import { EnvReader } from '../config/env.ts';
import { redact } from '../log/redact.ts';

/** What a person asks of a service's migrations. */
export type MigrateCommand = {
  readonly action: 'up' | 'down' | 'status';
  /** How many migrations `down` undoes; 1 unless said. */
  readonly steps: number | 'all';
  /** True if `down` may drop tables that hold rows. */
  readonly loseData: boolean;
};

/** Moves a schema and tells what it did and what is left to do. */
export type Migrate = (
  databaseUrl: string,
  action: MigrateCommand['action'],
  options: Omit<MigrateCommand, 'action'>,
) => Promise<{ readonly executed: readonly string[]; readonly pending: readonly string[] }>;

const usage = 'usage: migrate.ts up | down [--steps N | --all] [--lose-data] | status';

/** Runs a service's migrations as a process: reads the command line and DATABASE_URL, prints one line; a failure prints one line and ends with 1. */
export async function runMigrate(name: string, migrate: Migrate): Promise<void> {
  try {
    const { action, ...options } = parseMigrateCommand(process.argv.slice(2));
    const env = new EnvReader(process.env);
    const databaseUrl = env.required('DATABASE_URL');
    env.done();
    const { executed, pending } = await migrate(databaseUrl, action, options);
    const list = (names: readonly string[], none: string): string => names.join(', ') || none;
    process.stdout.write(`${name}: ${action}: ${list(executed, 'nothing to do')}; pending: ${list(pending, 'none')}\n`);
  } catch (error) {
    process.stderr.write(redact(`migrate: ${error instanceof Error ? error.message : String(error)}\n`));
    process.exitCode = 1;
  }
}

/** Reads a command line; throws with the usage when any part of it is unknown, so that nothing half-understood drops a table. */
export function parseMigrateCommand(args: readonly string[]): MigrateCommand {
  const { values, positionals } = parseStrictly(args);
  const [action, ...rest] = positionals;
  if ((action !== 'up' && action !== 'down' && action !== 'status') || rest.length > 0) throw new Error(usage);
  if (values.all === true && values.steps !== undefined) throw new Error(usage);
  const steps = values.all === true ? 'all' : Number(values.steps ?? 1);
  if (steps !== 'all' && (!Number.isSafeInteger(steps) || steps < 1)) throw new Error(usage);
  return { action, steps, loseData: values['lose-data'] === true };
}

function parseStrictly(args: readonly string[]) {
  const options = {
    steps: { type: 'string' },
    all: { type: 'boolean' },
    'lose-data': { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch {
    throw new Error(usage);
  }
}
