import { timeOfId } from '@signet/kit/id.ts';
import { isConflict, isConnectionLoss } from '../db/database-error.ts';
import type { Database } from '../db/pool.ts';
import { type Cell, encodeTextArray } from '../db/text-array.ts';
import { type EndRow, isLeftToOthers, leaseMs, type StartRow, type StepRow } from './execution.ts';
import { callColumns, insertCalls, insertKeptCalls } from './lm-call.postgres.ts';
import type { LmCallRow } from './lm-calls.ts';
import { insertSteps, stepColumns, stepValues, writeSteps } from './step.postgres.ts';

/** A row to insert: as it begins, or begun and ended in one. */
export type NewRow = { readonly start: StartRow; readonly token: number; readonly end: EndRow | undefined };

/** The end of a row that stands already; refused unless the token is still the row's. */
export type RowEnd = {
  readonly id: string;
  readonly token: number;
  readonly end: EndRow;
  /** True if no other process is told of it. */
  readonly isQuiet?: boolean;
};

/** A call of a language model, and the lease under which it was made. */
export type KeptCall = { readonly call: LmCallRow; readonly token: number };

/** Rows of many executions that are written together. */
export type Batch = {
  readonly rows: readonly NewRow[];
  readonly ends: readonly RowEnd[];
  /** Calls that are written only while the execution is held under this lease. */
  readonly calls: readonly KeptCall[];
  /** Steps of these executions that are not known to be kept yet. */
  readonly steps: readonly StepRow[];
};

/** How a row stands whose writing was in doubt. */
export type RowState = { readonly status: string; readonly endToken: number | undefined; readonly leaseToken: number };

/** Writes what recorders gather. */
export type RecorderStore = {
  /** Writes a batch in one transaction, with the log of ends and the counters; gives the ids of executions of which all was written. `onSent`: see Database. */
  flush(batch: Batch, onSent?: () => void): Promise<ReadonlySet<string>>;
  /** Reads how rows stand. */
  inspect(ids: readonly string[]): Promise<ReadonlyMap<string, RowState>>;
  writeSteps(steps: readonly StepRow[]): Promise<void>;
  /** True if the database went away: what was sent may or may not have been done. */
  isConnectionLoss(error: unknown): boolean;
  /** True if the same batch may succeed when sent again. */
  isConflict(error: unknown): boolean;
};

/** Makes the store of one process; `owner` names the process in its leases. */
export function createRecorderStore(database: Database, owner: string): RecorderStore {
  return {
    isConnectionLoss,
    isConflict,
    async flush({ rows, ends, calls: kept, steps }, onSent) {
      const calls = callsOf(rows, ends);
      const withCalls = `${calls.length > 0 ? '_calls' : ''}${kept.length > 0 ? '_kept' : ''}`;
      const withSteps = steps.length > 0 ? '_steps' : '';
      const name = `record_${rows.length > 0 ? 'rows' : ''}_${ends.length > 0 ? 'ends' : ''}${withCalls}${withSteps}`;
      const values: Buffer[] = [];
      if (rows.length > 0) for (const column of rowColumns) values.push(columnOf(rows, column, owner));
      if (ends.length > 0) for (const column of endColumns) values.push(columnOf(ends, column));
      if (calls.length > 0) for (const column of callColumns) values.push(columnOf(calls, column));
      if (kept.length > 0) for (const column of keptColumns) values.push(columnOf(kept, column));
      if (steps.length > 0) values.push(...stepValues(steps));
      const text = statementOf(name, { rows, ends, calls, kept, steps });
      const written = await database.queryRaw<{ id: string; what: string }>(name, text, values, onSent);
      const whole = written.flatMap(({ id, what }) => (what === 'call' ? [] : [id]));
      if (kept.length === 0) return new Set(whole);
      // A call says something of its execution only where nothing else of it was to be written.
      const others = new Set([...rows.map(({ start }) => start.id), ...ends.map(({ id }) => id)]);
      const alone = written.flatMap(({ id, what }) => (what === 'call' && !others.has(id) ? [id] : []));
      return new Set([...whole, ...alone]);
    },
    async inspect(ids) {
      const rows = await database.queryRaw<{
        id: string;
        status: string;
        lease_token: number;
        end_token: number | null;
      }>(
        'record_inspect',
        `select e.id::text as id, e.status, e.lease_token,
                (select max(x.lease_token) from executor.execution_ends x where x.execution_id = e.id) as end_token
         from executor.executions e where e.id = any($1::uuid[])`,
        [ids],
      );
      return new Map(
        rows.map((row) => [
          row.id,
          { status: row.status, leaseToken: row.lease_token, endToken: row.end_token ?? undefined },
        ]),
      );
    },
    writeSteps: (steps) => writeSteps(database, steps),
  };
}

function callsOf(rows: readonly NewRow[], ends: readonly RowEnd[]): readonly LmCallRow[] {
  const calls: LmCallRow[] = [];
  for (const { end } of rows) if (end?.lmCalls !== undefined) calls.push(...end.lmCalls);
  for (const { end } of ends) if (end.lmCalls !== undefined) calls.push(...end.lmCalls);
  return calls;
}

type Column<T> = { readonly name: string; readonly cell: (row: T, owner: string) => Cell };

const rowColumns: readonly Column<NewRow>[] = [
  { name: 'id', cell: ({ start }) => start.id },
  { name: 'program_id', cell: ({ start }) => start.programId },
  { name: 'slug', cell: ({ start }) => start.slug },
  { name: 'version', cell: ({ start }) => String(start.version) },
  { name: 'module', cell: ({ start }) => start.module },
  { name: 'status', cell: ({ start, end }) => end?.status ?? (isLeftToOthers(start) ? 'pending' : 'running') },
  { name: 'engine', cell: ({ start, end }) => end?.engine ?? start.engine },
  { name: 'detached', cell: ({ start }) => (start.detached ? 't' : 'f') },
  { name: 'inputs', cell: ({ start }) => start.inputsJson },
  { name: 'options', cell: ({ start }) => start.optionsJson },
  { name: 'labels', cell: ({ start }) => start.labelsJson },
  { name: 'metadata', cell: ({ start }) => start.metadataJson },
  { name: 'trace_id', cell: ({ start }) => start.traceId },
  { name: 'traceparent', cell: ({ start }) => start.traceparent },
  { name: 'key_id', cell: ({ start }) => start.keyId },
  { name: 'retried_from', cell: ({ start }) => start.retriedFrom },
  { name: 'lease_owner', cell: ({ start, end }, owner) => (end || isLeftToOthers(start) ? null : owner) },
  { name: 'token', cell: ({ token }) => String(token) },
  { name: 'asked_ms', cell: ({ start }) => String(start.askedMs ?? timeOfId(start.id)) },
  { name: 'outputs', cell: ({ end }) => end?.outputsJson ?? null },
  { name: 'error', cell: ({ end }) => end?.errorJson ?? null },
  { name: 'duration_ms', cell: ({ end }) => (end ? String(end.durationMs) : null) },
  { name: 'metrics', cell: ({ end }) => end?.metricsJson ?? null },
  { name: 'trace', cell: ({ end }) => end?.traceJson ?? null },
  { name: 'attempts', cell: ({ start, end }) => (end ? String(end.attempts) : isLeftToOthers(start) ? '0' : '1') },
  { name: 'last_sequence', cell: ({ end }) => (end ? String(end.lastSequence) : '0') },
  { name: 'module_id', cell: ({ start }) => start.moduleId },
  { name: 'module_name', cell: ({ start }) => start.moduleName },
  { name: 'parent_id', cell: ({ start }) => start.parentId ?? null },
  { name: 'step', cell: ({ start }) => start.step ?? null },
];

const endColumns: readonly Column<RowEnd>[] = [
  { name: 'id', cell: ({ id }) => id },
  { name: 'token', cell: ({ token }) => String(token) },
  { name: 'status', cell: ({ end }) => end.status },
  { name: 'outputs', cell: ({ end }) => end.outputsJson },
  { name: 'error', cell: ({ end }) => end.errorJson },
  { name: 'duration_ms', cell: ({ end }) => String(end.durationMs) },
  { name: 'metrics', cell: ({ end }) => end.metricsJson },
  { name: 'trace', cell: ({ end }) => end.traceJson },
  { name: 'attempts', cell: ({ end }) => String(end.attempts) },
  { name: 'worker_losses', cell: ({ end }) => String(end.workerLosses) },
  { name: 'last_sequence', cell: ({ end }) => String(end.lastSequence) },
  { name: 'engine', cell: ({ end }) => end.engine ?? null },
  { name: 'quiet', cell: ({ isQuiet }) => (isQuiet ? 't' : 'f') },
];

const keptColumns: readonly Column<KeptCall>[] = [
  ...callColumns.map(({ name, cell }) => ({ name, cell: ({ call }: KeptCall) => cell(call) })),
  { name: 'reply', cell: ({ call }) => call.reply ?? null },
  { name: 'token', cell: ({ token }) => String(token) },
];

function columnOf<T>(rows: readonly T[], column: Column<T>, owner = ''): Buffer {
  return encodeTextArray(rows.map((row) => column.cell(row, owner)));
}

const ended = `('completed', 'failed', 'cancelled')`;

const putRows = (unnested: string): string => `put as (
  insert into executor.executions (id, program_id, slug, version, module, status, engine, detached, inputs, options, labels,
    metadata, trace_id, traceparent, key_id, retried_from, lease_owner, lease_token, lease_until, executed_at, create_time,
    start_time, end_time, outputs, error, duration_ms, metrics, trace, attempts, last_sequence, module_id, module_name,
    parent_id, step)
  select r.id::uuid, r.program_id::uuid, r.slug, r.version::int, r.module, r.status, r.engine, r.detached::bool, r.inputs::json,
    coalesce(r.options, '{}')::jsonb, coalesce(r.labels, '{}')::jsonb, r.metadata::json, r.trace_id, r.traceparent, r.key_id,
    r.retried_from::uuid, r.lease_owner, r.token::int,
    case when r.lease_owner is not null then now() + interval '${leaseMs} ms' end,
    t.asked, t.asked, case when r.attempts <> '0' then t.asked end,
    case when r.status in ${ended} then greatest(now(), t.asked) end,
    r.outputs::json, r.error::jsonb, r.duration_ms::float8, coalesce(r.metrics, '{}')::json, coalesce(r.trace, '[]')::json,
    r.attempts::int, r.last_sequence::bigint, r.module_id::uuid, coalesce(r.module_name, ''), r.parent_id::uuid,
    coalesce(r.step, '')
  from ${unnested}, lateral (select to_timestamp(r.asked_ms::float8 / 1000) as asked) t
  on conflict (id) do nothing
  returning id, program_id, status, lease_token)`;

const endRows = (unnested: string): string => `ended as (
  update executor.executions x set status = e.status, engine = coalesce(e.engine, x.engine), outputs = e.outputs::json, error = e.error::jsonb,
    duration_ms = e.duration_ms::float8, metrics = e.metrics::json, trace = e.trace::json, attempts = e.attempts::int,
    worker_losses = greatest(x.worker_losses, e.worker_losses::int), last_sequence = e.last_sequence::bigint,
    end_time = now(), update_time = now(), lease_owner = null, lease_until = null
  from ${unnested}
  where x.id = e.id::uuid and x.lease_token = e.token::int and x.status in ('pending', 'running')
  returning x.id, x.program_id, x.status, x.lease_token, x.detached and e.quiet <> 't' as told)`;

/** The log of ends and the counters, which move with whatever ended in `final`, programs in the order of their ids. */
export const settleEnds = `logged as (
  insert into executor.execution_ends (execution_id, lease_token, status) select id, lease_token, status from final),
counted as (
  insert into executor.program_stats as s (program_id, execution_count, failed_count, cancelled_count, last_executed_at,
    last_attempt_at)
  select program_id, count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed'),
    count(*) filter (where status = 'cancelled'), max(now()) filter (where status = 'completed'), now()
  from final group by program_id order by program_id
  on conflict (program_id) do update set execution_count = s.execution_count + excluded.execution_count,
    failed_count = s.failed_count + excluded.failed_count, cancelled_count = s.cancelled_count + excluded.cancelled_count,
    last_executed_at = greatest(s.last_executed_at, excluded.last_executed_at),
    last_attempt_at = greatest(s.last_attempt_at, excluded.last_attempt_at))`;

/** The channel on which executors tell each other what happened. */
export const channel = 'signet_executions';

const statements = new Map<string, string>();

type Parts = {
  readonly rows: readonly unknown[];
  readonly ends: readonly unknown[];
  readonly calls: readonly unknown[];
  readonly kept: readonly unknown[];
  readonly steps: readonly unknown[];
};

function statementOf(name: string, { rows, ends, calls, kept, steps }: Parts): string {
  const known = statements.get(name);
  if (known !== undefined) return known;
  const parts: string[] = [];
  const finals: string[] = [];
  const results: string[] = [];
  if (rows.length > 0) {
    parts.push(putRows(unnest('r', rowColumns, 0)));
    finals.push(`select id, program_id, status, lease_token from put where status in ${ended}`);
    results.push(
      `select id::text as id, 'row' as what, case when status = 'pending' then pg_notify('${channel}', 'work')::text end from put`,
    );
  }
  if (ends.length > 0) {
    parts.push(endRows(unnest('e', endColumns, rows.length > 0 ? rowColumns.length : 0)));
    finals.push('select id, program_id, status, lease_token from ended');
    results.push(
      `select id::text as id, 'end' as what, case when told then pg_notify('${channel}', 'end ' || id)::text end from ended`,
    );
  }
  let before = (rows.length > 0 ? rowColumns.length : 0) + (ends.length > 0 ? endColumns.length : 0);
  if (calls.length > 0) {
    parts.push(`called as (${insertCalls(unnest('c', callColumns, before), 'c')})`);
    before += callColumns.length;
  }
  if (kept.length > 0) {
    parts.push(`kept as (${insertKeptCalls(unnest('k', keptColumns, before), 'k', rows.length > 0)})`);
    results.push(`select execution_id::text as id, 'call' as what, null::text from kept`);
    before += keptColumns.length;
  }
  if (steps.length > 0) {
    parts.push(`stepped as (${insertSteps(unnest('s', stepColumns, before), rows.length > 0)})`);
  }
  if (finals.length > 0) parts.push(`final as (${finals.join(' union all ')}),\n${settleEnds}`);
  const text = `with ${parts.join(',\n')}\n${results.join('\nunion all\n')}`;
  statements.set(name, text);
  return text;
}

function unnest(alias: string, columns: readonly Column<never>[], offset: number): string {
  const parameters = columns.map((_, index) => `$${offset + index + 1}::text[]`).join(', ');
  return `unnest(${parameters}) as ${alias}(${columns.map(({ name }) => name).join(', ')})`;
}
