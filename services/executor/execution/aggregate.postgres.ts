import type { Database } from '../db/pool.ts';

/** Executions in figures. */
export type ExecutionAggregate = {
  readonly total: bigint;
  readonly completed: bigint;
  readonly failed: bigint;
  readonly cancelled: bigint;
  /** Milliseconds; 0 if none has ended. */
  readonly averageMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly tokensIn: bigint;
  readonly tokensOut: bigint;
  readonly lmCalls: bigint;
  /** USD. */
  readonly cost: number;
  readonly firstAt: Date | undefined;
  readonly lastAt: Date | undefined;
};

/** Reads executions in figures. */
export type AggregateStore = {
  /** Sums up those that a condition in SQL, with its values from $1 on, lets in. */
  aggregate(condition: string, values: readonly unknown[]): Promise<ExecutionAggregate>;
  /** Sums up those of some programs. */
  ofPrograms(programIds: readonly string[]): Promise<ExecutionAggregate>;
  /** How many executions of each registered module a process runs now. */
  runningModules(owner: string): Promise<ReadonlyMap<string, number>>;
};

type Row = {
  total: string;
  completed: string;
  failed: string;
  cancelled: string;
  average: number | null;
  percentiles: number[] | null;
  tokens_in: string | null;
  tokens_out: string | null;
  lm_calls: string | null;
  cost: number | null;
  first_at: Date | null;
  last_at: Date | null;
};

// Metrics are ours, but their text may be of an older build: what is no number counts for nothing.
const figure = (name: string): string =>
  `sum(case when json_typeof(metrics -> '${name}') = 'number' then (metrics ->> '${name}')::numeric end)`;
const selection = `select count(*)::text as total,
  count(*) filter (where status = 'completed')::text as completed, count(*) filter (where status = 'failed')::text as failed,
  count(*) filter (where status = 'cancelled')::text as cancelled, avg(duration_ms) as average,
  percentile_cont(array[0.5, 0.95, 0.99]) within group (order by duration_ms) as percentiles,
  trunc(${figure('tokens_in')})::text as tokens_in, trunc(${figure('tokens_out')})::text as tokens_out,
  trunc(${figure('lm_calls')})::text as lm_calls, ${figure('cost')}::float8 as cost,
  min(executed_at) as first_at, max(executed_at) as last_at
  from executor.executions where`;

/** Makes the store. */
export function createAggregateStore(database: Database): AggregateStore {
  const read = async (name: string, condition: string, values: readonly unknown[]): Promise<ExecutionAggregate> => {
    const [row] = await database.query<Row>(name, `${selection} ${condition}`, [...values]);
    return toAggregate(row!);
  };
  return {
    aggregate: (condition, values) => read('', condition, values),
    ofPrograms: (programIds) => read('aggregate_programs', 'program_id = any($1::uuid[])', [programIds]),
    async runningModules(owner) {
      const rows = await database.query<{ id: string; running: number }>(
        'running_modules',
        `select module_id::text as id, count(*)::int as running from executor.executions
         where status = 'running' and lease_owner = $1 and module_id is not null group by module_id`,
        [owner],
      );
      return new Map(rows.map(({ id, running }) => [id, running]));
    },
  };
}

function toAggregate(row: Row): ExecutionAggregate {
  const [p50Ms = 0, p95Ms = 0, p99Ms = 0] = row.percentiles ?? [];
  return {
    total: BigInt(row.total),
    completed: BigInt(row.completed),
    failed: BigInt(row.failed),
    cancelled: BigInt(row.cancelled),
    averageMs: row.average ?? 0,
    ...{ p50Ms, p95Ms, p99Ms },
    tokensIn: BigInt(row.tokens_in ?? 0),
    tokensOut: BigInt(row.tokens_out ?? 0),
    lmCalls: BigInt(row.lm_calls ?? 0),
    cost: row.cost ?? 0,
    firstAt: row.first_at ?? undefined,
    lastAt: row.last_at ?? undefined,
  };
}
