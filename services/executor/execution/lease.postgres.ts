import type { Database } from '../db/pool.ts';
import {
  type ExecutionFault,
  type ExecutionStatus,
  leaseMs,
  type RunOptions,
  undoLossMax,
  workerLossMax,
} from './execution.ts';
import { channel, settleEnds } from './recorder.postgres.ts';

/** A detached execution that this process may run now. */
export type Claim = {
  readonly id: string;
  readonly programId: string;
  readonly version: number;
  /** What runs, such as `predict`, `pipeline` or `function:merge_and_rank`. */
  readonly module: string;
  readonly engine: 'python' | 'native' | 'mock';
  readonly inputsJson: string;
  readonly options: RunOptions;
  /** Whose key asked for it. */
  readonly keyId: string;
  readonly traceparent: string;
  readonly token: number;
  readonly attempts: number;
  readonly workerLosses: number;
  /** True if somebody has asked for its end. */
  readonly cancelRequested: boolean;
  /** Milliseconds since it was asked for. */
  readonly ageMs: number;
};

/** How an execution stands after somebody asked to cancel it. */
export type CancelState = { readonly status: ExecutionStatus };

/** Who owns which execution until when. Only the database's clock counts. */
export type LeaseStore = {
  /** Takes pending detached executions, oldest first, each under a token one higher. */
  claim(limit: number): Promise<Claim[]>;
  /** Takes one pending detached execution; undefined if it does not wait any more. */
  claimOne(id: string): Promise<Claim | undefined>;
  /** Renews leases; gives the ids that are still ours, and which of them somebody wants to end. */
  renew(held: readonly { id: string; token: number }[]): Promise<Map<string, { cancelRequested: boolean }>>;
  /**
   * Settles what nobody renewed: detached ones run again, others and those lost too often fail, and what is to be undone first waits for
   * that. Gives how many of each.
   */
  reap(): Promise<{ failed: number; again: number }>;
  /** Hands detached executions of ours back at once, without counting a loss. */
  release(held: readonly { id: string; token: number }[]): Promise<void>;
  /** Asks for the end of an execution; one that nobody runs ends here, unless it is to be undone first. Undefined if there is none. */
  cancel(id: string, fault: ExecutionFault): Promise<CancelState | undefined>;
  /** How many wait, and for how long the oldest one has. */
  backlog(): Promise<{ pending: number; oldestMs: number }>;
};

/** Makes the store of one process; `owner` names the process in its leases. */
export function createLeaseStore(database: Database, owner: string): LeaseStore {
  return {
    async claim(limit) {
      return (await database.query<ClaimRow>('lease_claim', claimText, [limit, owner])).map(claimOf);
    },
    async claimOne(id) {
      const [row] = await database.query<ClaimRow>('lease_claim_one', claimOneText, [id, owner]);
      return row && claimOf(row);
    },
    async renew(held) {
      const rows = await database.query<{ id: string; cancel_requested: boolean }>('lease_renew', renewText, [
        held.map(({ id }) => id),
        held.map(({ token }) => token),
      ]);
      return new Map(rows.map((row) => [row.id, { cancelRequested: row.cancel_requested }]));
    },
    async reap() {
      const [row] = await database.query<{ failed: number; again: number }>('lease_reap', reapText, [
        JSON.stringify(lostFault),
        JSON.stringify(cancelledFault),
      ]);
      return row!;
    },
    async release(held) {
      await database.query('lease_release', releaseText, [held.map(({ id }) => id), held.map(({ token }) => token)]);
    },
    async cancel(id, fault) {
      const values = [id, JSON.stringify(fault)];
      const ask = () => database.query<{ status: ExecutionStatus }>('lease_cancel', cancelText, values);
      const [row] = await ask();
      // Whoever claimed it at this moment has to be told.
      return row?.status === 'pending' ? (await ask())[0] : row;
    },
    async backlog() {
      const [row] = await database.query<{ pending: number; oldest_ms: number | null }>(
        'lease_backlog',
        `select count(*)::int as pending, extract(epoch from now() - min(create_time))::float8 * 1000 as oldest_ms
         from executor.executions where status = 'pending'`,
      );
      return { pending: row!.pending, oldestMs: row!.oldest_ms ?? 0 };
    },
  };
}

type ClaimRow = {
  id: string;
  program_id: string;
  version: number;
  module: string;
  engine: 'python' | 'native' | 'mock';
  inputs: string;
  options: RunOptions;
  key_id: string;
  traceparent: string;
  lease_token: number;
  attempts: number;
  worker_losses: number;
  cancel_requested: boolean;
  age_ms: number;
};

function claimOf(row: ClaimRow): Claim {
  return {
    id: row.id,
    programId: row.program_id,
    version: row.version,
    module: row.module,
    engine: row.engine,
    inputsJson: row.inputs,
    options: row.options,
    keyId: row.key_id,
    traceparent: row.traceparent,
    token: row.lease_token,
    attempts: row.attempts,
    workerLosses: row.worker_losses,
    cancelRequested: row.cancel_requested,
    ageMs: row.age_ms,
  };
}

const lease = `now() + interval '${leaseMs} ms'`;

const claimAll = (picked: string): string => `with picked as (${picked})
update executor.executions x set status = 'running', lease_owner = $2, lease_token = x.lease_token + 1, lease_until = ${lease},
  attempts = x.attempts + 1, start_time = coalesce(x.start_time, now()), update_time = now()
from picked where x.id = picked.id
returning x.id::text, x.program_id::text, x.version, x.module, x.engine, x.inputs::text, x.options, x.key_id, x.traceparent, x.lease_token, x.attempts,
  x.worker_losses, x.cancel_requested, extract(epoch from now() - x.executed_at)::float8 * 1000 as age_ms`;

const claimText = claimAll(`
  select id from executor.executions where status = 'pending' and detached
  order by id limit $1 for update skip locked`);

const claimOneText = claimAll(`
  select id from executor.executions where id = $1 and status = 'pending' and detached
  for update skip locked`);

const renewText = `update executor.executions x set lease_until = ${lease}
from unnest($1::uuid[], $2::int[]) as h(id, token)
where x.id = h.id and x.lease_token = h.token and x.status = 'running'
returning x.id::text, x.cancel_requested`;

const fault = (reason: string, message: string, category: string, retryable: boolean): ExecutionFault => ({
  reason,
  message,
  category,
  retryable,
  python_type: '',
  field_violations: [],
  traceback: '',
  metadata: {},
});

/** What is kept of an execution that lost the process which ran it too often. */
export const lostFault = fault('WORKER_LOST', 'The process that ran the execution was lost', 'engine', true);

/** What is kept of an execution that somebody ended. */
export const cancelledFault = fault('CANCELLED', 'The execution was cancelled', 'cancelled', false);

// Of a run that has begun no step there is nothing to undo.
const hasToUndo = `x.options ? 'undoable' and exists (select from executor.executions s where s.parent_id = x.id)`;

// A step whose run is not run forward any more is not either.
const isLeftOver = `exists (select from executor.executions p where p.id = x.parent_id and not x.options ? 'undoes'
  and (p.end_time is not null or p.cancel_requested
    or p.worker_losses + (case when p.status = 'running' and p.lease_until < now() then 1 else 0 end) >= ${workerLossMax}))`;

const reapText = `with lost as (
  select id, detached and (worker_losses + 1 < ${workerLossMax} and not cancel_requested and not ${isLeftOver}
    or worker_losses + 1 < ${undoLossMax} and ${hasToUndo}) as once_more
  from executor.executions x where status = 'running' and lease_until < now() order by id limit 500 for update skip locked),
again as (
  update executor.executions x set status = 'pending', worker_losses = x.worker_losses + 1, lease_owner = null, lease_until = null,
    update_time = now()
  from lost where x.id = lost.id and lost.once_more
  returning x.id),
final as (
  update executor.executions x set status = case when x.cancel_requested then 'cancelled' else 'failed' end,
    error = case when x.cancel_requested then $2::jsonb else $1::jsonb end, worker_losses = x.worker_losses + 1,
    lease_owner = null, lease_until = null, end_time = now(), update_time = now(),
    duration_ms = greatest(extract(epoch from now() - x.start_time)::float8 * 1000, 0), last_sequence = x.attempts * 1000000000::bigint
  from lost where x.id = lost.id and not lost.once_more
  returning x.id, x.program_id, x.status, x.lease_token),
${settleEnds}
select (select count(*)::int from final) as failed, (select count(*)::int from again) as again,
  (select count(pg_notify('${channel}', 'end ' || id)) from final), (select count(pg_notify('${channel}', 'work')) from again)`;

const releaseText = `with given as (
  update executor.executions x set status = 'pending', lease_owner = null, lease_until = null, update_time = now()
  from unnest($1::uuid[], $2::int[]) as h(id, token)
  where x.id = h.id and x.lease_token = h.token and x.status = 'running' and x.detached
  returning x.id)
select count(pg_notify('${channel}', 'work')) from given`;

// Steps go with the execution that they are steps of, but for those that undo it. Whoever runs it ends them itself; what nobody runs ends here.
const cancelText = `with recursive tree as (
  select id, 0 as depth from executor.executions where id = $1
  union all
  select x.id, tree.depth + 1 from executor.executions x join tree on x.parent_id = tree.id
  where x.status in ('pending', 'running') and tree.depth < 10 and not x.options ? 'undoes'),
final as (
  update executor.executions x set status = 'cancelled', cancel_requested = true, error = $2::jsonb, end_time = now(), update_time = now(),
    duration_ms = greatest(extract(epoch from now() - coalesce(x.start_time, now()))::float8 * 1000, 0),
    lease_token = x.lease_token + 1, last_sequence = greatest(x.attempts, 0) * 1000000000::bigint
  from tree where x.id = tree.id and x.status = 'pending' and not (${hasToUndo})
  returning x.id, x.program_id, x.status, x.lease_token),
asked as (
  update executor.executions x set cancel_requested = true, update_time = now()
  from tree where x.id = tree.id and (x.status = 'running' or x.status = 'pending' and ${hasToUndo})
  returning x.id, x.status, tree.depth),
${settleEnds},
told as (
  select pg_notify('${channel}', 'end ' || id)::text from final
  union all select pg_notify('${channel}', case status when 'pending' then 'work' else 'cancel ' || id end)::text
    from (select id, status from asked order by depth) a)
select coalesce((select status from final where id = $1), (select status from asked where id = $1), e.status) as status,
  (select count(*) from told)
from executor.executions e where e.id = $1`;
