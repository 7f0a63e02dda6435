import type { Database, Row } from '../db/pool.ts';
import type { ComparedEngine, Differences, ExecutionShadow, ShadowRow, ShadowStatus, ShadowSummary } from './shadow.ts';

/** Which comparisons to read. `condition` is SQL of ours over the columns, its values from `$3` on in pages, from `$1` on in sums. */
export type ShadowQuery = {
  readonly condition: string;
  readonly values: readonly unknown[];
  /** Only those of older executions than this one. */
  readonly afterId: string | undefined;
  readonly limit: number;
};

/** Keeps comparisons of engines. */
export type ShadowStore = {
  /** Keeps one, unless its execution is gone or has one. */
  put(row: ShadowRow): Promise<void>;
  /** That of an execution; undefined if it has none. */
  get(executionId: string): Promise<ExecutionShadow | undefined>;
  /** Newest execution first. */
  list(query: ShadowQuery): Promise<ExecutionShadow[]>;
  /** Sums by program, those with most differences first. */
  sum(query: Omit<ShadowQuery, 'afterId'>): Promise<ShadowSummary[]>;
};

const columns = `execution_id::text, program_id::text, slug, version, engine, primary_engine, status, differences, figures, reason, message,
  create_time`;

/** Makes the store. */
export function createShadowStore(database: Database): ShadowStore {
  return {
    async put(row) {
      await database.query(
        'shadow_put',
        `insert into executor.execution_shadows
           (execution_id, program_id, slug, version, engine, primary_engine, status, differences, figures, reason, message)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 where exists (select from executor.executions where id = $1)
         on conflict do nothing`,
        [
          ...[row.executionId, row.programId, row.slug, row.version, row.engine, row.primaryEngine, row.status],
          ...[JSON.stringify(row.differences), JSON.stringify(row.figures), row.reason, row.message],
        ],
      );
    },
    async get(executionId) {
      const text = `select ${columns} from executor.execution_shadows where execution_id = $1`;
      const [row] = await database.query('shadow_get', text, [executionId]);
      return row && shadowOf(row);
    },
    async list({ condition, values, afterId, limit }) {
      const rows = await database.query(
        '',
        `select ${columns} from executor.execution_shadows
         where ($1::uuid is null or execution_id < $1::uuid) ${condition === '' ? '' : `and (${condition})`}
         order by execution_id desc limit $2`,
        [afterId ?? null, limit, ...values],
      );
      return rows.map(shadowOf);
    },
    async sum({ condition, values, limit }) {
      const count = (status: ShadowStatus) => `count(*) filter (where status = '${status}')::text as ${status}`;
      const rows = await database.query<SumRow>(
        '',
        `select program_id::text, (array_agg(slug order by execution_id desc))[1] as slug,
           ${(['equal', 'different', 'failed', 'skipped'] as const).map(count).join(', ')}
         from executor.execution_shadows ${condition === '' ? '' : `where ${condition}`}
         group by program_id
         order by count(*) filter (where status = 'different') desc, count(*) filter (where status = 'failed') desc, program_id
         limit ${limit}`,
        values,
      );
      return rows.map(({ program_id: programId, slug, equal, different, failed, skipped }) => ({
        programId,
        slug,
        counts: {
          equal: BigInt(equal),
          different: BigInt(different),
          failed: BigInt(failed),
          skipped: BigInt(skipped),
        },
      }));
    },
  };
}

type SumRow = Readonly<Record<'program_id' | 'slug' | ShadowStatus, string>>;

function shadowOf(row: Row): ExecutionShadow {
  const text = (name: string): string => row[name] as string;
  return {
    executionId: text('execution_id'),
    programId: text('program_id'),
    slug: text('slug'),
    version: row.version as number,
    engine: row.engine as ComparedEngine,
    primaryEngine: row.primary_engine as ComparedEngine,
    status: row.status as ShadowStatus,
    differences: row.differences as Differences,
    figures: row.figures as ExecutionShadow['figures'],
    reason: text('reason'),
    message: text('message'),
    createTime: row.create_time as Date,
  };
}
