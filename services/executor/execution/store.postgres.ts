import { AppError } from '@signet/kit/error/app-error.ts';
import type { Database, Row } from '../db/pool.ts';
import type { EngineName } from '../engine/engine.ts';
import type { Counters, Execution, ExecutionFault, ExecutionStatus, RunOptions, Statistics } from './execution.ts';

/** Which executions to read, in which order. `condition` is SQL with its values from $4 on. */
export type ExecutionQuery = {
  readonly programId: string | undefined;
  readonly condition: string;
  readonly values: readonly unknown[];
  readonly ascending: boolean;
  /** Only those beyond this id, in the order asked for. */
  readonly afterId: string | undefined;
  readonly limit: number;
};

/** A step that was kept. */
export type KeptStep = {
  readonly sequence: number;
  readonly step: string;
  readonly status: string;
  /** The step's own execution; empty if it has none. */
  readonly childId: string;
};

/** A step of an execution, as far as going on behind it needs. */
export type ChildRow = { readonly id: string; readonly status: ExecutionStatus; readonly inputsJson: string };

/** What came of a step of an execution. */
export type StepOutcome = {
  readonly id: string;
  readonly step: string;
  readonly status: ExecutionStatus;
  /** `{}` unless it ended well. */
  readonly outputsJson: string;
  /** What it took. */
  readonly metricsJson: string;
  /** Milliseconds since 1970 by the database's clock, to the microsecond; 0 while it has not ended. */
  readonly endMs: number;
};

/** What somebody thinks of an execution. */
export type FeedbackRow = {
  readonly id: string;
  readonly executionId: string;
  readonly score: number | undefined;
  readonly label: string;
  readonly correctedOutputsJson: string | undefined;
  readonly comment: string;
  readonly keyId: string;
};

/** Reads of executions, and the few writes that are not an execution's own course. */
export type ExecutionStore = {
  /** Fails with EXECUTION_NOT_FOUND. */
  get(id: string): Promise<Execution>;
  /** At most `limit`, and none after 4 MiB of them; `found` tells how many there are up to the limit. */
  list(query: ExecutionQuery): Promise<{ readonly executions: Execution[]; readonly found: number }>;
  steps(id: string, afterSequence: number): Promise<KeptStep[]>;
  /** The executions that are steps of one. */
  children(parentId: string): Promise<ChildRow[]>;
  /** What came of each of them. */
  outcomes(parentId: string): Promise<StepOutcome[]>;
  /** An execution and all below it, parents first, at most `limit`; beyond 4 MiB without inputs, outputs and trace. */
  tree(id: string, limit: number): Promise<Execution[]>;
  addFeedback(row: FeedbackRow): Promise<Date>;
  counters(programId: string): Promise<Counters>;
  statistics(programId: string, version: number): Promise<Statistics>;
};

// By id: ids are made in the order of time, and the index on them serves every page.
const columns = `id::text, program_id::text, slug, version, module_id::text, module_name, parent_id::text, step, status, engine, detached, inputs::text,
  outputs::text, error, duration_ms, options, labels, metadata::text, metrics::text, trace::text, trace_id, retried_from::text,
  last_sequence::float8 as last_sequence, lease_token, cancel_requested, attempts, worker_losses, executed_at, start_time, end_time,
  create_time, update_time`;

// What can be large of an execution. A page of such is shorter: an answer of more than a message may have helps nobody.
const octets = ['inputs', 'outputs', 'metadata', 'trace', 'metrics']
  .map((column) => `coalesce(octet_length(${column}::text), 0)`)
  .join(' + ');
const octetsMax = 4 * 1024 * 1024;

const emptyOf: Readonly<Record<string, string>> = { inputs: `'{}'`, outputs: 'null', trace: `'[]'` };
const shortColumns = columns.replace(
  /\b(inputs|outputs|trace)::text/g,
  (_, name: string) =>
    `case when octets_so_far <= ${octetsMax} then ${name}::text else ${emptyOf[name]} end as ${name}`,
);
// Steps are read by their parent's index, never deeper than pipelines go.
const treeText = `with recursive tree as (
    select x.id as place, 0 as depth from executor.executions x where x.id = $1
    union all
    select x.id, tree.depth + 1 from executor.executions x join tree on x.parent_id = tree.place where tree.depth < 10
  ),
  picked as (
    select x.*, tree.depth, sum(${octets}) over (order by tree.depth, x.executed_at, x.id) as octets_so_far
    from tree join executor.executions x on x.id = tree.place order by tree.depth, x.executed_at, x.id limit $2
  )
  select ${shortColumns}
  from picked order by depth, picked.executed_at, picked.id`;

/** Makes the store. */
export function createExecutionStore(database: Database): ExecutionStore {
  return {
    async get(id) {
      const rows = await database.query('execution_get', `select ${columns} from executor.executions where id = $1`, [
        id,
      ]);
      if (rows[0] === undefined) throw executionNotFound(id);
      return executionOf(rows[0]);
    },
    async list({ programId, condition, values, ascending, afterId, limit }) {
      const direction = ascending ? 'asc' : 'desc';
      const text = `with page as (
        select id as place, ${columns} from executor.executions
        where ${programId === undefined ? '$1::uuid is null' : 'program_id = $1::uuid'}
          and ${afterId === undefined ? '$2::uuid is null' : `id ${ascending ? '>' : '<'} $2::uuid`}
          ${condition === '' ? '' : `and (${condition})`}
        order by executions.id ${direction} limit $3
      )
      select * from (
        select page.*, count(*) over () as found, sum(${octets}) over (order by place ${direction}
          rows between unbounded preceding and 1 preceding) as octets_before from page
      ) measured where coalesce(octets_before, 0) < ${octetsMax} order by place ${direction}`;
      const rows = await database.query('', text, [programId ?? null, afterId ?? null, limit, ...values]);
      return { executions: rows.map(executionOf), found: Number(rows[0]?.found ?? 0) };
    },
    async steps(id, afterSequence) {
      const rows = await database.query<{ seq: number; step: string; status: string; child: string }>(
        'execution_steps',
        `select seq::float8 as seq, step, status, coalesce(child_id::text, '') as child from executor.execution_events
         where execution_id = $1 and seq > $2 order by seq`,
        [id, afterSequence],
      );
      return rows.map(({ seq, step, status, child }) => ({ sequence: seq, step, status, childId: child }));
    },
    async children(parentId) {
      const rows = await database.query<{ id: string; status: ExecutionStatus; inputs: string }>(
        'execution_children',
        'select id::text, status, inputs::text from executor.executions where parent_id = $1',
        [parentId],
      );
      return rows.map(({ id, status, inputs }) => ({ id, status, inputsJson: inputs }));
    },
    async outcomes(parentId) {
      return database.query<StepOutcome>(
        'execution_outcomes',
        `select id::text, step, status, coalesce(outputs::text, '{}') as "outputsJson", metrics::text as "metricsJson",
           coalesce(extract(epoch from end_time)::float8 * 1000, 0) as "endMs"
         from executor.executions where parent_id = $1`,
        [parentId],
      );
    },
    async tree(id, limit) {
      const rows = await database.query('execution_tree', treeText, [id, limit]);
      if (rows.length === 0) throw executionNotFound(id);
      return rows.map(executionOf);
    },
    async addFeedback(row) {
      const [made] = await database.query<{ create_time: Date }>(
        'feedback_add',
        `insert into executor.execution_feedback (id, execution_id, score, label, corrected_outputs, comment, key_id)
         values ($1, $2, $3, $4, $5, $6, $7) returning create_time`,
        [
          row.id,
          row.executionId,
          row.score ?? null,
          row.label,
          row.correctedOutputsJson ?? null,
          row.comment,
          row.keyId,
        ],
      );
      return made!.create_time;
    },
    async counters(programId) {
      const [row] = await database.query<{ execution_count: string; last_executed_at: Date | null }>(
        'program_counters',
        'select execution_count::text, last_executed_at from executor.program_stats where program_id = $1',
        [programId],
      );
      return { executionCount: BigInt(row?.execution_count ?? 0), lastExecutedAt: row?.last_executed_at ?? undefined };
    },
    async statistics(programId, version) {
      const [row] = await database.query<{ total: string; successful: string; failed: string; average: number | null }>(
        'program_statistics',
        `select count(*)::text as total, count(*) filter (where status = 'completed')::text as successful,
           count(*) filter (where status = 'failed')::text as failed, avg(duration_ms) as average
         from executor.executions where program_id = $1 and ($2::int = 0 or version = $2)`,
        [programId, version],
      );
      return {
        total: BigInt(row!.total),
        successful: BigInt(row!.successful),
        failed: BigInt(row!.failed),
        averageDurationMs: row!.average ?? 0,
      };
    },
  };
}

/** The error for an execution that is not there. */
export function executionNotFound(id: string): AppError {
  const shown = id.slice(0, 100).toWellFormed();
  return new AppError('EXECUTION_NOT_FOUND', `There is no execution \`${shown}\``, { metadata: { resource: shown } });
}

function executionOf(row: Row): Execution {
  const text = (name: string): string => (row[name] as string | null) ?? '';
  const time = (name: string): Date | undefined => (row[name] as Date | null) ?? undefined;
  return {
    id: text('id'),
    programId: text('program_id'),
    slug: text('slug'),
    version: row.version as number,
    moduleId: text('module_id'),
    moduleName: text('module_name'),
    parentId: text('parent_id'),
    step: text('step'),
    status: row.status as ExecutionStatus,
    engine: row.engine as EngineName,
    detached: row.detached as boolean,
    inputsJson: text('inputs'),
    outputsJson: (row.outputs as string | null) ?? undefined,
    error: (row.error as ExecutionFault | null) ?? undefined,
    durationMs: (row.duration_ms as number | null) ?? undefined,
    options: row.options as RunOptions,
    labels: row.labels as Record<string, string>,
    metadataJson: text('metadata'),
    metricsJson: text('metrics'),
    traceJson: text('trace'),
    traceId: text('trace_id'),
    retriedFrom: text('retried_from'),
    lastSequence: row.last_sequence as number,
    leaseToken: row.lease_token as number,
    cancelRequested: row.cancel_requested as boolean,
    attempts: row.attempts as number,
    workerLosses: row.worker_losses as number,
    executedAt: row.executed_at as Date,
    startTime: time('start_time'),
    endTime: time('end_time'),
    createTime: row.create_time as Date,
    updateTime: row.update_time as Date,
  };
}
