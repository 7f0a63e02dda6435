import { AppError } from '@signet/kit/error/app-error.ts';
import type { Split } from '../dataset/datasets.grpc.ts';
import type { Database, Row } from '../db/pool.ts';
import type { ExecutionFault, ExecutionStatus, RunOptions } from '../execution/execution.ts';
import type { Metric } from '../metric/metric.ts';
import type { ComparedResult, Evaluation, FullResult, NewEvaluation, ResultPair, ResultRow } from './evaluation.ts';
import type { Figures } from './summarize.ts';

/** Which rows to read. `condition` is SQL of ours with its values from `$4` on. */
export type PageQuery = {
  readonly condition: string;
  readonly values: readonly unknown[];
  readonly descending: boolean;
  readonly limit: number;
};

/** Which results to read: those beyond a place in their order. */
export type ResultQuery = PageQuery & {
  readonly evaluationId: string;
  readonly order: 'position' | 'score';
  readonly after: { readonly key: number; readonly position: number } | undefined;
};

/** Evaluations and their results, read; and the one write that is nobody's lease. */
export type EvaluationStore = {
  /** Writes the first row; one that stands under this id already is left as it is. */
  create(evaluation: NewEvaluation): Promise<void>;
  /** Fails with EVALUATION_NOT_FOUND. */
  get(id: string): Promise<Evaluation>;
  list(
    query: PageQuery & { readonly programId: string | undefined; readonly afterId: string | undefined },
  ): Promise<Evaluation[]>;
  /** With payloads none come after 4 MiB of them; `found` tells how many there are up to the limit. */
  results(
    query: ResultQuery,
    hasPayloads: boolean,
  ): Promise<{ readonly results: FullResult[]; readonly found: number }>;
  /** The results of two evaluations of the same examples, by position. */
  pairs(a: string, b: string): Promise<ResultPair[]>;
  /** What the metric or the error said of some results, by position. */
  words(id: string, positions: readonly number[]): Promise<ReadonlyMap<number, string>>;
};

/** Makes the store. */
export function createEvaluationStore(database: Database): EvaluationStore {
  return {
    async create(row) {
      await database.query('evaluation_create', createText, [
        row.id,
        row.programId,
        row.slug,
        row.version,
        row.datasetId,
        row.datasetSlug,
        row.datasetVersion,
        row.splits,
        JSON.stringify(row.metric),
        JSON.stringify(row.options),
        row.concurrency,
        JSON.stringify(row.labels),
        row.exampleCount,
        row.keyId,
        row.traceId,
        row.traceparent,
      ]);
    },
    async get(id) {
      const text = `select ${evaluationColumns} from executor.evaluations where id = $1`;
      const [row] = await database.query('evaluation_get', text, [id]);
      if (row === undefined) throw evaluationNotFound(id);
      return evaluationOf(row);
    },
    async list({ programId, condition, values, descending, afterId, limit }) {
      const rows = await database.query(
        '',
        `select ${evaluationColumns} from executor.evaluations
         where ($1::uuid is null or program_id = $1) and ($2::uuid is null or id ${descending ? '<' : '>'} $2)
           ${condition === '' ? '' : `and (${condition})`}
         order by evaluations.id ${descending ? 'desc' : 'asc'} limit $3`,
        [programId ?? null, afterId ?? null, limit, ...values],
      );
      return rows.map(evaluationOf);
    },
    async results(query, hasPayloads) {
      const rows = await database.query('', resultsText(query, hasPayloads), [
        query.evaluationId,
        query.after === undefined ? null : query.after.key,
        query.limit,
        ...query.values,
        ...(query.order === 'score' ? [query.after?.position ?? null] : []),
      ]);
      return { results: rows.map(resultOf), found: Number(rows[0]?.found ?? 0) };
    },
    async pairs(a, b) {
      const rows = await database.query<PairRow>('evaluation_pairs', pairsText, [a, b]);
      return rows.map((row) => ({
        exampleId: row.example_id,
        weight: row.weight,
        a: row.score_a === null ? undefined : compared(row.score_a, row.execution_a, row.position),
        b: row.score_b === null ? undefined : compared(row.score_b, row.execution_b, row.position),
      }));
    },
    async words(id, positions) {
      const rows = await database.query<{ position: number; words: string }>(
        'evaluation_words',
        `select position::float8 as position, case when reason = '' then feedback else reason || ': ' || message end as words
         from executor.evaluation_results where evaluation_id = $1 and position = any($2::bigint[])`,
        [id, positions],
      );
      return new Map(rows.map(({ position, words }) => [position, words]));
    },
  };
}

/** The error for an evaluation that is not there. */
export function evaluationNotFound(id: string): AppError {
  const shown = id.slice(0, 100).toWellFormed();
  return new AppError('EVALUATION_NOT_FOUND', `There is no evaluation \`${shown}\``, { metadata: { resource: shown } });
}

const createText = `insert into executor.evaluations (id, program_id, slug, version, dataset_id, dataset_slug, dataset_version, splits, metric,
  options, concurrency, labels, example_count, key_id, trace_id, traceparent)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) on conflict (id) do nothing`;

/** The columns of an evaluation. */
export const evaluationColumns = `id::text, program_id::text, slug, version, dataset_id::text, dataset_slug, dataset_version, splits, metric,
  options, concurrency, labels, status, example_count::float8 as example_count, result_count::float8 as result_count,
  error_count::float8 as error_count, mean, tokens_in::float8 as tokens_in, tokens_out::float8 as tokens_out, cost,
  metric_tokens::float8 as metric_tokens, metric_cost, figures, error, key_id, trace_id, traceparent, cancel_requested, attempts,
  create_time, start_time, end_time, update_time`;

/** Reads a row of these columns. */
export function evaluationOf(row: Row): Evaluation {
  const maybe = <T>(name: string): T | undefined => (row[name] as T | null) ?? undefined;
  return {
    id: row.id as string,
    programId: row.program_id as string,
    slug: row.slug as string,
    version: row.version as number,
    datasetId: row.dataset_id as string,
    datasetSlug: row.dataset_slug as string,
    datasetVersion: row.dataset_version as number,
    splits: row.splits as Split[],
    metric: row.metric as Metric,
    options: row.options as RunOptions,
    concurrency: row.concurrency as number,
    labels: row.labels as Record<string, string>,
    status: row.status as ExecutionStatus,
    exampleCount: row.example_count as number,
    resultCount: row.result_count as number,
    errorCount: row.error_count as number,
    mean: maybe('mean'),
    tokensIn: row.tokens_in as number,
    tokensOut: row.tokens_out as number,
    cost: maybe('cost'),
    metricTokens: row.metric_tokens as number,
    metricCost: maybe('metric_cost'),
    figures: maybe<Figures>('figures'),
    error: maybe<ExecutionFault>('error'),
    keyId: row.key_id as string,
    traceId: row.trace_id as string,
    traceparent: row.traceparent as string,
    cancelRequested: row.cancel_requested as boolean,
    attempts: row.attempts as number,
    createTime: row.create_time as Date,
    startTime: maybe('start_time'),
    endTime: maybe('end_time'),
    updateTime: row.update_time as Date,
  };
}

const octetsMax = 3 * 1024 * 1024;

// Pages are cut by size: an answer of more than a message may have helps nobody.
function resultsText({ order, descending, condition, values }: ResultQuery, hasPayloads: boolean): string {
  const direction = descending ? 'desc' : 'asc';
  const beyond = descending ? '<' : '>';
  const place =
    order === 'position'
      ? `($2::bigint is null or r.position ${beyond} $2)`
      : `($2::float8 is null or (r.score, r.position) ${beyond} ($2, $${4 + values.length}::bigint))`;
  const payloads = hasPayloads
    ? 'x.inputs::text as inputs, x.outputs::text as outputs'
    : 'null as inputs, null as outputs';
  return `with page as (
    select r.position::float8 as position, r.example_id, r.split, r.execution_id::text, r.score, coalesce(r.weight, 1) as weight, r.feedback, r.phase, r.reason, r.message, r.duration_ms,
      r.tokens_in::float8 as tokens_in, r.tokens_out::float8 as tokens_out, r.cost, r.metric_tokens::float8 as metric_tokens, r.metric_cost,
      ${payloads}
    from executor.evaluation_results r ${hasPayloads ? 'left join executor.executions x on x.id = r.execution_id' : ''}
    where r.evaluation_id = $1 and ${place} ${condition === '' ? '' : `and (${condition})`}
    order by ${order === 'position' ? '' : `r.score ${direction}, `}r.position ${direction} limit $3
  ), measured as (
    select page.*, row_number() over () as nth, count(*) over () as found,
      sum(octet_length(feedback) + octet_length(message) + coalesce(octet_length(inputs), 0) + coalesce(octet_length(outputs), 0))
        over (rows between unbounded preceding and 1 preceding) as before
    from page
  )
  select * from measured where coalesce(before, 0) < ${octetsMax} order by nth`;
}

function resultOf(row: Row): FullResult {
  const maybe = <T>(name: string): T | undefined => (row[name] as T | null) ?? undefined;
  return {
    position: row.position as number,
    exampleId: row.example_id as string,
    split: row.split as Split,
    executionId: maybe<string>('execution_id') ?? '',
    score: row.score as number,
    weight: row.weight as number,
    feedback: row.feedback as string,
    phase: row.phase as ResultRow['phase'],
    reason: row.reason as string,
    message: row.message as string,
    durationMs: row.duration_ms as number,
    tokensIn: row.tokens_in as number,
    tokensOut: row.tokens_out as number,
    cost: maybe('cost'),
    metricTokens: row.metric_tokens as number,
    metricCost: maybe('metric_cost'),
    inputsJson: maybe('inputs'),
    outputsJson: maybe('outputs'),
  };
}

type PairRow = {
  example_id: string;
  position: number;
  weight: number;
  score_a: number | null;
  execution_a: string | null;
  score_b: number | null;
  execution_b: string | null;
};

const pairsText = `select coalesce(a.example_id, b.example_id) as example_id, coalesce(a.position, b.position)::float8 as position,
  coalesce(a.weight, b.weight, 1) as weight,
  a.score as score_a, a.execution_id::text as execution_a, b.score as score_b, b.execution_id::text as execution_b
from (select * from executor.evaluation_results where evaluation_id = $1) a
full join (select * from executor.evaluation_results where evaluation_id = $2) b on a.position = b.position
order by 2`;

function compared(score: number, executionId: string | null, position: number): ComparedResult {
  return { score, executionId: executionId ?? '', position };
}
