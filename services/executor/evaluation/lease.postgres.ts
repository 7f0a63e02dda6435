import type { Database } from '../db/pool.ts';
import type { EndStatus, ExecutionFault } from '../execution/execution.ts';
import { type Evaluation, evaluationLeaseMs, type ResultRow } from './evaluation.ts';
import { evaluationColumns, evaluationOf } from './store.postgres.ts';
import type { Figures, Totals } from './summarize.ts';

/** An evaluation that this process may go on with. */
export type EvaluationClaim = {
  readonly evaluation: Evaluation;
  readonly token: number;
  /** How often the process that ran it was lost. */
  readonly losses: number;
};

/** An evaluation that is held under a lease of ours. */
export type Held = { readonly id: string; readonly token: number };

/** Who works on which evaluation until when. Only the database's clock counts. */
export type EvaluationLeases = {
  /** Takes those that wait and those whose owner was lost, oldest first, each under a token one higher. */
  claim(limit: number): Promise<EvaluationClaim[]>;
  /** Renews leases; gives the ids that are still ours, and which of them somebody wants to end. */
  renew(held: readonly Held[]): Promise<ReadonlyMap<string, { readonly cancelRequested: boolean }>>;
  /** Hands one back: whoever looks next goes on with it. */
  release(held: Held): Promise<void>;
  /** The positions that have a result. */
  done(id: string): Promise<ReadonlySet<number>>;
  /** Keeps results; those of a position that has one are dropped. False if the lease is lost. */
  add(held: Held, results: readonly ResultRow[]): Promise<boolean>;
  totals(id: string): Promise<Totals>;
  /** Writes the end. False if the lease is lost. */
  finish(held: Held, end: EvaluationEnd): Promise<boolean>;
  /** Asks for the end; one that nobody works on ends here. */
  cancel(id: string, fault: ExecutionFault): Promise<void>;
};

/** How an evaluation ended. */
export type EvaluationEnd = {
  readonly status: EndStatus;
  readonly figures: Figures | undefined;
  readonly mean: number | undefined;
  readonly fault: ExecutionFault | undefined;
};

/** Makes the leases of one process; `owner` names it. */
export function createEvaluationLeases(database: Database, owner: string): EvaluationLeases {
  return {
    async claim(limit) {
      const rows = await database.query('evaluation_claim', claimText, [limit, owner]);
      return rows.map((row) => ({
        evaluation: evaluationOf(row),
        token: row.lease_token as number,
        losses: row.losses as number,
      }));
    },
    async renew(held) {
      const rows = await database.query<{ id: string; cancel_requested: boolean }>('evaluation_renew', renewText, [
        held.map(({ id }) => id),
        held.map(({ token }) => token),
      ]);
      return new Map(rows.map((row) => [row.id, { cancelRequested: row.cancel_requested }]));
    },
    async release({ id, token }) {
      await database.query(
        'evaluation_release',
        `update executor.evaluations set status = 'pending', lease_owner = null, lease_until = null, update_time = now()
         where id = $1 and lease_token = $2 and status = 'running'`,
        [id, token],
      );
    },
    async done(id) {
      const rows = await database.query<{ position: number }>(
        'evaluation_done',
        'select position::float8 as position from executor.evaluation_results where evaluation_id = $1',
        [id],
      );
      return new Set(rows.map(({ position }) => position));
    },
    async add({ id, token }, results) {
      const rows = await database.query('evaluation_add', addText, [id, token, JSON.stringify(results.map(recordOf))]);
      return rows.length > 0;
    },
    async totals(id) {
      const [row] = await database.query<TotalsRow>('evaluation_totals', totalsText, [id]);
      return {
        count: row!.count,
        mean: row!.mean ?? 0,
        deviation: row!.deviation ?? 0,
        effectiveCount: row!.effective_count ?? 0,
        isBinary: row!.is_binary ?? true,
        latencyP50Ms: row!.p50 ?? undefined,
        latencyP95Ms: row!.p95 ?? undefined,
      };
    },
    async finish({ id, token }, { status, figures, mean, fault }) {
      const rows = await database.query('evaluation_finish', finishText, [
        id,
        token,
        status,
        figures === undefined ? null : JSON.stringify(figures),
        mean ?? null,
        fault === undefined ? null : JSON.stringify(fault),
      ]);
      return rows.length > 0;
    },
    async cancel(id, fault) {
      await database.query('evaluation_cancel', cancelText, [id, JSON.stringify(fault)]);
    },
  };
}

const lease = `now() + interval '${evaluationLeaseMs} ms'`;

const claimText = `with picked as (
  select id, status = 'running' as was_lost from executor.evaluations
  where status in ('pending', 'running') and (status = 'pending' or lease_until < now())
  order by id limit $1 for update skip locked)
update executor.evaluations set status = 'running', lease_owner = $2, lease_token = lease_token + 1, lease_until = ${lease},
  attempts = attempts + 1, losses = losses + picked.was_lost::int, start_time = coalesce(start_time, now()), update_time = now()
from picked where evaluations.id = picked.id
returning ${evaluationColumns.replace('id::text', 'evaluations.id::text')}, lease_token, losses`;

const renewText = `update executor.evaluations x set lease_until = ${lease}
from unnest($1::uuid[], $2::int[]) as h(id, token)
where x.id = h.id and x.lease_token = h.token and x.status = 'running'
returning x.id::text, x.cancel_requested`;

const addText = `with held as (
  select id from executor.evaluations where id = $1 and lease_token = $2 and status = 'running' for update),
added as (
  insert into executor.evaluation_results (evaluation_id, position, example_id, split, execution_id, score, weight, feedback, phase, reason,
    message, duration_ms, tokens_in, tokens_out, cost, metric_tokens, metric_cost)
  select held.id, r.* from held, jsonb_to_recordset($3::jsonb) as r(position bigint, example_id text, split text, execution_id uuid,
    score float8, weight float8, feedback text, phase text, reason text, message text, duration_ms float8, tokens_in bigint, tokens_out bigint,
    cost float8, metric_tokens bigint, metric_cost float8)
  on conflict do nothing
  returning score, weight, reason, tokens_in, tokens_out, cost, metric_tokens, metric_cost),
sums as (
  select count(*) as results, count(*) filter (where reason <> '') as errors, coalesce(sum(score * weight), 0) as scores,
    coalesce(sum(weight), 0) as weights,
    coalesce(sum(tokens_in), 0) as tokens_in, coalesce(sum(tokens_out), 0) as tokens_out, sum(cost) as cost,
    coalesce(sum(metric_tokens), 0) as metric_tokens, sum(metric_cost) as metric_cost
  from added)
update executor.evaluations e set result_count = e.result_count + sums.results, error_count = e.error_count + sums.errors,
  score_sum = e.score_sum + sums.scores, weight_sum = e.weight_sum + sums.weights,
  mean = (e.score_sum + sums.scores) / nullif(e.weight_sum + sums.weights, 0),
  tokens_in = e.tokens_in + sums.tokens_in, tokens_out = e.tokens_out + sums.tokens_out,
  cost = case when sums.cost is null then e.cost else coalesce(e.cost, 0) + sums.cost end,
  metric_tokens = e.metric_tokens + sums.metric_tokens,
  metric_cost = case when sums.metric_cost is null then e.metric_cost else coalesce(e.metric_cost, 0) + sums.metric_cost end,
  update_time = now()
from held, sums where e.id = held.id
returning e.id`;

type TotalsRow = {
  count: number;
  mean: number | null;
  deviation: number | null;
  effective_count: number | null;
  is_binary: boolean | null;
  p50: number | null;
  p95: number | null;
};

// The heaviest weighs 1, so that equal weights give to the last digit what none would. What never ran took no time.
const totalsText = `with results as (
  select score, duration_ms, coalesce(weight, 1) / max(coalesce(weight, 1)) over () as w
  from executor.evaluation_results where evaluation_id = $1),
sums as (
  select count(*)::int as count, sum(w) as weight, sum(w * w) as squares, sum(w * score) / sum(w) as mean, min(w) = 1 as is_even,
    stddev_samp(score) as deviation, bool_and(score in (0, 1)) as is_binary,
    percentile_cont(0.5) within group (order by duration_ms) filter (where duration_ms > 0) as p50,
    percentile_cont(0.95) within group (order by duration_ms) filter (where duration_ms > 0) as p95
  from results)
select count, mean, weight * weight / squares as effective_count, is_binary, p50, p95,
  case when is_even then deviation
    else sqrt((select sum(w * (score - mean) * (score - mean)) from results) / (weight - squares / weight)) end as deviation
from sums`;

const finishText = `update executor.evaluations set status = $3, figures = $4::jsonb, mean = coalesce($5, mean), error = $6::jsonb,
  end_time = now(), update_time = now(), lease_owner = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'running' returning id`;

const cancelText = `update executor.evaluations set cancel_requested = true, update_time = now(),
  status = case when status = 'pending' then 'cancelled' else status end,
  error = case when status = 'pending' then $2::jsonb else error end,
  end_time = case when status = 'pending' then now() else end_time end
where id = $1 and status in ('pending', 'running')`;

function recordOf(row: ResultRow): Record<string, unknown> {
  return {
    position: row.position,
    example_id: row.exampleId,
    split: row.split,
    execution_id: row.executionId === '' ? null : row.executionId,
    score: row.score,
    weight: row.weight,
    feedback: row.feedback,
    phase: row.phase,
    reason: row.reason,
    message: row.message,
    duration_ms: row.durationMs,
    tokens_in: row.tokensIn,
    tokens_out: row.tokensOut,
    cost: row.cost ?? null,
    metric_tokens: row.metricTokens,
    metric_cost: row.metricCost ?? null,
  };
}
