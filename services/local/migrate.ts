import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { claimFolder } from './claim-folder.ts';
import type { LauncherConfig } from './config.ts';
import { openDatabase } from './database.ts';
import { LaunchError } from './launch-error.ts';

const DIRECTIONS = ['up', 'down', 'status'];

/** `npm run migrate -- [up|down|status] [--steps N | --all] [--lose-data]`: runs the migrations of registry and executor against DATABASE_URL, or the embedded database while nothing else uses it. */
export async function migrate(config: LauncherConfig, args: string[], stop: AbortSignal): Promise<number> {
  const [direction = 'up', ...flags] = args;
  if (!DIRECTIONS.includes(direction))
    throw new LaunchError(`migrate knows ${DIRECTIONS.join(', ')}, not \`${direction}\``);
  const release = config.databaseUrl === undefined ? claimFolder(config.dataDir) : () => undefined;
  try {
    const log = (line: string) => void process.stderr.write(`${line}\n`);
    const database = await openDatabase({
      databaseUrl: config.databaseUrl,
      dataDir: config.dataDir,
      log,
      onChange: () => undefined,
    });
    try {
      return await migrateServices({ config, databaseUrl: database.url, direction, flags, stop });
    } finally {
      await database.stop();
    }
  } finally {
    release();
  }
}

type MigrateInput = {
  config: LauncherConfig;
  databaseUrl: string;
  direction: string;
  flags: string[];
  stop: AbortSignal;
};

async function migrateServices({ config, databaseUrl, direction, flags, stop }: MigrateInput): Promise<number> {
  // Down in the opposite order of up.
  const services = direction === 'down' ? ['executor', 'registry'] : ['registry', 'executor'];
  for (const service of services) {
    const script = join(config.root, 'services', service, 'migrate.ts');
    if (!existsSync(script)) throw new LaunchError(`${service} has no migrations (${script})`);
    const child = spawn(process.execPath, [script, direction, ...flags], {
      cwd: config.root,
      env: { ...config.inherited, DATABASE_URL: databaseUrl },
      stdio: 'inherit',
      signal: stop,
    });
    const code = await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (exitCode) => resolve(exitCode ?? 1));
    });
    if (code !== 0) return code;
  }
  return 0;
}
