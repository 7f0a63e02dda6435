import type { MikroORM } from '@mikro-orm/postgresql';
import { AppError } from '@signet/kit/error/app-error.ts';
import { createOrm } from './orm.ts';
import { fromSqlError } from './sql-error.ts';

/** Which way the schema `registry` is moved. */
export type MigrateAction = 'up' | 'down' | 'status';

/** What a move of the schema did, how it stands then, and which extensions are not there. */
export type MigrateReport = {
  readonly executed: readonly string[];
  readonly pending: readonly string[];
  readonly missingExtensions: readonly string[];
};

/** How a move down is limited. */
export type MigrateOptions = {
  /** How many migrations `down` undoes; default 1, `all` for every one. */
  readonly steps?: number | 'all';
  /** `down` refuses to drop tables that hold rows unless this is true. */
  readonly loseData?: boolean;
};

// Any number will do as long as nobody else takes it.
const lockKey = 7_300_412_000;
const tables = ['signatures', 'signature_modules', 'modules', 'programs', 'datasets', 'api_keys', 'idempotency'];

/**
 * Moves the schema `registry`, one process at a time: others wait at an advisory lock. Each migration is one transaction. Throws
 * STATE_FORBIDS when `down` would lose rows and that was not allowed, DATABASE_UNAVAILABLE when the database is away.
 */
export async function migrate(
  databaseUrl: string,
  action: MigrateAction,
  options: MigrateOptions = {},
): Promise<MigrateReport> {
  const orm = await createOrm(databaseUrl, 2);
  const connection = orm.em.getConnection();
  try {
    return await connection.transactional(async (lock) => {
      // The start of another replica may take longer than any statement of a caller should.
      await connection.execute('set local lock_timeout = 0', [], 'run', lock);
      await connection.execute('set local statement_timeout = 0', [], 'run', lock);
      await connection.execute('set local idle_in_transaction_session_timeout = 0', [], 'run', lock);
      await connection.execute('select pg_advisory_xact_lock(?)', [lockKey], 'run', lock);
      return await run(orm, action, options);
    });
  } catch (error) {
    throw fromSqlError(error);
  } finally {
    await orm.close();
  }
}

async function run(orm: MikroORM, action: MigrateAction, options: MigrateOptions): Promise<MigrateReport> {
  const executed: string[] = [];
  if (action !== 'status') await createSchema(orm);
  if (action === 'up') executed.push(...(await orm.migrator.up()).map(({ name }) => name));
  if (action === 'down') {
    if (options.loseData !== true) await refuseLoss(orm);
    const done = (await orm.migrator.getExecuted()).length;
    const steps = options.steps === 'all' ? done : Math.min(options.steps ?? 1, done);
    for (let step = 0; step < steps; step++) {
      executed.push(...(await orm.migrator.down()).map(({ name }) => name));
    }
  }
  const installed = await orm.em.getConnection().execute<{ extname: string }[]>('select extname from pg_extension');
  const names = new Set(installed.map(({ extname }) => extname));
  return {
    executed,
    pending: (await orm.migrator.getPending()).map(({ name }) => name),
    missingExtensions: ['uuid-ossp', 'citext'].filter((name) => !names.has(name)),
  };
}

// Whoever may not create schemas can be given an empty one.
async function createSchema(orm: MikroORM): Promise<void> {
  const [found] = await orm.em.getConnection().execute("select to_regnamespace('registry') is not null as there");
  if (!found?.there) await orm.em.getConnection().execute('create schema if not exists registry');
}

async function refuseLoss(orm: MikroORM): Promise<void> {
  const connection = orm.em.getConnection();
  for (const table of tables) {
    const [found] = await connection.execute('select to_regclass(?) is not null as there', [`registry.${table}`]);
    if (!found?.there) continue;
    const rows = await connection.execute(`select 1 from registry.${table} limit 1`);
    if (rows.length === 0) continue;
    throw new AppError('STATE_FORBIDS', `registry.${table} holds rows: going down would lose them (--lose-data)`, {
      metadata: { table, state: 'filled', event: 'down' },
    });
  }
}
