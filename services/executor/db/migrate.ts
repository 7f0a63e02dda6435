import { Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { AppError } from '@signet/kit/error/app-error.ts';
import { installJobQueue, queueSchema } from './install-job-queue.ts';
import { Executions001 } from './migrations/001-executions.ts';
import { ProgramStats002 } from './migrations/002-program-stats.ts';
import { IdempotencyFeedback003 } from './migrations/003-idempotency-feedback.ts';
import { LmCalls004 } from './migrations/004-lm-calls.ts';
import { Modules005 } from './migrations/005-modules.ts';
import { AuditLog006 } from './migrations/006-audit-log.ts';
import { CognitiveExecutions007 } from './migrations/007-cognitive-executions.ts';
import { CacheEntries008 } from './migrations/008-cache-entries.ts';
import { ExecutionShadows009 } from './migrations/009-execution-shadows.ts';
import { StepExecutions010 } from './migrations/010-step-executions.ts';
import { Batches011 } from './migrations/011-batches.ts';
import { Evaluations012 } from './migrations/012-evaluations.ts';
import { OptimizationJobs013 } from './migrations/013-optimization-jobs.ts';
import { JobLog017 } from './migrations/017-job-log.ts';
import { WeightsShares018 } from './migrations/018-weights-shares.ts';

/** Which way the schema `executor` is moved. */
export type MigrateAction = 'up' | 'down' | 'status';

/** What a move of the schema did, and how it stands then. */
export type MigrateReport = { readonly executed: readonly string[]; readonly pending: readonly string[] };

/** How a move is limited. */
export type MigrateOptions = {
  /** How many migrations `down` undoes; default 1, `all` for every one. */
  readonly steps?: number | 'all';
  /** `down` refuses to drop tables that hold rows unless this is true. */
  readonly loseData?: boolean;
};

// Any number will do as long as nobody else takes it: one migration run at a time over all replicas.
const lockKey = 7_300_412_001;

/**
 * Moves the schema `executor`, one process at a time: the others wait at an advisory lock. Each migration is one transaction. Throws
 * STATE_FORBIDS when `down` would lose rows and that was not allowed.
 */
export async function migrate(
  databaseUrl: string,
  action: MigrateAction,
  options: MigrateOptions = {},
): Promise<MigrateReport> {
  const orm = await MikroORM.init({
    clientUrl: databaseUrl,
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    pool: { min: 0, max: 2 },
    debug: false,
    migrations: {
      tableName: 'executor.migrations',
      snapshot: false,
      silent: true,
      migrationsList: [
        { name: '001-executions', class: Executions001 },
        { name: '002-program-stats', class: ProgramStats002 },
        { name: '003-idempotency-feedback', class: IdempotencyFeedback003 },
        { name: '004-lm-calls', class: LmCalls004 },
        { name: '005-modules', class: Modules005 },
        { name: '006-audit-log', class: AuditLog006 },
        { name: '007-cognitive-executions', class: CognitiveExecutions007 },
        { name: '008-cache-entries', class: CacheEntries008 },
        { name: '009-execution-shadows', class: ExecutionShadows009 },
        { name: '010-step-executions', class: StepExecutions010 },
        { name: '011-batches', class: Batches011 },
        { name: '012-evaluations', class: Evaluations012 },
        { name: '013-optimization-jobs', class: OptimizationJobs013 },
        { name: '017-job-log', class: JobLog017 },
        { name: '018-weights-shares', class: WeightsShares018 },
      ],
    },
  });
  try {
    return await orm.em.getConnection().transactional(async (lock) => {
      await orm.em.getConnection().execute('select pg_advisory_xact_lock(?)', [lockKey], 'run', lock);
      const report = await run(orm, action, options);
      if (action === 'up') await installJobQueue(databaseUrl, await isThere(orm, queueSchema));
      return report;
    });
  } finally {
    await orm.close();
  }
}

async function run(orm: MikroORM, action: MigrateAction, options: MigrateOptions): Promise<MigrateReport> {
  const executed: string[] = [];
  if (action === 'up') {
    await orm.em.getConnection().execute('create schema if not exists executor');
    executed.push(...(await orm.migrator.up()).map(({ name }) => name));
  } else if (action === 'down') {
    if (options.loseData !== true) await refuseLoss(orm);
    const done = (await orm.migrator.getExecuted()).length;
    const steps = options.steps === 'all' ? done : Math.min(options.steps ?? 1, done);
    for (let step = 0; step < steps; step++) {
      executed.push(...(await orm.migrator.down()).map(({ name }) => name));
    }
  }
  return { executed, pending: (await orm.migrator.getPending()).map(({ name }) => name) };
}

async function isThere(orm: MikroORM, schema: string): Promise<boolean> {
  const [found] = await orm.em.getConnection().execute('select to_regnamespace(?) is not null as there', [schema]);
  return found?.there === true;
}

async function refuseLoss(orm: MikroORM): Promise<void> {
  const tables = ['executions', 'program_stats', 'idempotency', 'execution_feedback', 'evaluations'];
  for (const table of tables) {
    const [found] = await orm.em
      .getConnection()
      .execute('select to_regclass(?) is not null as there', [`executor.${table}`]);
    if (found?.there !== true) continue;
    const rows = await orm.em.getConnection().execute(`select 1 from executor.${table} limit 1`);
    if (rows.length === 0) continue;
    throw new AppError('STATE_FORBIDS', `executor.${table} holds rows: going down would lose them`, {
      metadata: { table, state: 'filled', event: 'down' },
    });
  }
}
