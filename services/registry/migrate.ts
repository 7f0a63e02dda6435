import { EnvReader } from '@signet/kit/config/env.ts';
import { redact } from '@signet/kit/log/redact.ts';
import { type MigrateAction, migrate } from './db/migrate.ts';

const usage = 'usage: migrate.ts up | down [--steps N | --all] [--lose-data] | status';

async function main(): Promise<void> {
  const [action, ...flags] = process.argv.slice(2);
  if (action !== 'up' && action !== 'down' && action !== 'status') throw new Error(usage);
  const env = new EnvReader(process.env);
  const databaseUrl = env.required('DATABASE_URL');
  env.done();
  const at = flags.indexOf('--steps');
  const steps = flags.includes('--all') ? 'all' : at < 0 ? 1 : Number(flags[at + 1]);
  if (steps !== 'all' && (!Number.isInteger(steps) || steps < 1)) throw new Error(usage);
  const loseData = flags.includes('--lose-data');
  const report = await migrate(databaseUrl, action satisfies MigrateAction, { steps, loseData });
  process.stdout.write(`registry: ${action}: ${report.executed.join(', ') || 'nothing to do'}; `);
  process.stdout.write(`pending: ${report.pending.join(', ') || 'none'}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(redact(`migrate: ${error instanceof Error ? error.message : String(error)}\n`));
  process.exitCode = 1;
});
