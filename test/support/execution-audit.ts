import { isDeepStrictEqual } from 'node:util';
import { query } from './query.ts';

/** What a caller was told about one execution. */
export type Told = {
  readonly id: string;
  /** The outputs of an answer 200 to a call that waited; absent for what was only accepted. */
  readonly outputs?: unknown;
  /** The id that the caller gave to its request; the same id is the same execution. */
  readonly requestId?: string;
  /** An end that a caller saw. */
  readonly end?: string;
  /** True once somebody asked for its end: then it may be cancelled. */
  readonly isUnwanted?: boolean;
};

/** An execution as it stands. */
export type AuditRow = {
  readonly id: string;
  readonly program_id: string;
  readonly engine: string;
  readonly status: string;
  readonly outputs: unknown;
  readonly reason: string | null;
  readonly attempts: number;
  readonly worker_losses: number;
};

/** What an audit looks at: what was told, the rows, the log of their ends and the counters of their programs. */
export type Evidence = {
  readonly told: readonly Told[];
  readonly rows: readonly AuditRow[];
  readonly ends: readonly { readonly execution_id: string; readonly status: string }[];
  readonly counters: readonly (Readonly<Record<EndStatus, number>> & { readonly program_id: string })[];
};

type EndStatus = 'completed' | 'failed' | 'cancelled';
const END_STATUSES: readonly EndStatus[] = ['completed', 'failed', 'cancelled'];

/** An execution that lost the process which ran it so often may fail for it. */
const LOSSES_MAX = 3;

/** Reads everything that an audit needs out of the executor's schema. */
export async function gatherEvidence(url: string, told: readonly Told[]): Promise<Evidence> {
  const rows = await query(
    url,
    `select id::text, program_id::text, engine, status, outputs, error ->> 'reason' as reason, attempts, worker_losses
     from executor.executions`,
  );
  const ends = await query(url, 'select execution_id::text, status from executor.execution_ends');
  const counters = await query(
    url,
    `select program_id::text, execution_count::int as completed, failed_count::int as failed, cancelled_count::int as cancelled
     from executor.program_stats`,
  );
  return { told, rows, ends, counters } as unknown as Evidence;
}

/** Everything that does not fit together, one line each; empty if what was told, the rows, their ends and the counters agree. */
export function findFaults(evidence: Evidence): string[] {
  const rows = new Map(evidence.rows.map((row) => [row.id, row]));
  const unwanted = new Set(evidence.told.filter(({ isUnwanted }) => isUnwanted).map(({ id }) => id));
  const faults = [
    ...faultsOfEnds(evidence),
    ...faultsOfCounters(evidence),
    ...evidence.told.flatMap((told) => faultsOfTold(told, rows.get(told.id), unwanted.has(told.id))),
    ...faultsOfRepeats(evidence.told),
  ];
  return [...new Set(faults)];
}

function faultsOfEnds({ rows, ends }: Evidence): string[] {
  const endsOf = Map.groupBy(ends, ({ execution_id }) => execution_id);
  return rows.flatMap(({ id, status }) => {
    const seen = (endsOf.get(id) ?? []).map((end) => end.status);
    if (!END_STATUSES.some((end) => end === status)) return [`${id} is still ${status}`];
    if (seen.length === 0) return [`${id} is ${status} and no end of it was logged`];
    if (seen.length > 1) return [`${id} ended ${seen.length} times: ${seen.join(', ')}`];
    return seen[0] === status ? [] : [`${id} is ${status} and ended as ${seen[0]}`];
  });
}

function faultsOfCounters({ rows, counters }: Evidence): string[] {
  const rowsOf = Map.groupBy(rows, ({ program_id }) => program_id);
  const countersOf = new Map(counters.map((counter) => [counter.program_id, counter]));
  const programs = new Set([...rowsOf.keys(), ...countersOf.keys()]);
  return [...programs].flatMap((program) =>
    END_STATUSES.flatMap((status) => {
      const stand = (rowsOf.get(program) ?? []).filter((row) => row.status === status).length;
      const counted = countersOf.get(program)?.[status] ?? 0;
      return stand === counted ? [] : [`program ${program} counts ${counted} ${status}, and ${stand} stand`];
    }),
  );
}

function faultsOfTold(told: Told, row: AuditRow | undefined, isUnwanted: boolean): string[] {
  const { id } = told;
  if (row === undefined) return [`${id} was acknowledged and is lost`];
  if (told.end !== undefined && told.end !== row.status) return [`${id} was told as ${told.end} and is ${row.status}`];
  if (told.outputs !== undefined) {
    if (row.status !== 'completed') return [`${id} was answered with outputs and is ${row.status}`];
    return isDeepStrictEqual(told.outputs, row.outputs) ? [] : [`${id} was answered with other outputs than it keeps`];
  }
  const mayFail = row.reason === 'WORKER_LOST' && row.worker_losses >= LOSSES_MAX;
  if (row.status === 'failed' && !mayFail) return [`${id} was accepted and failed with ${row.reason}`];
  return row.status === 'cancelled' && !isUnwanted ? [`${id} was cancelled by nobody`] : [];
}

function faultsOfRepeats(told: readonly Told[]): string[] {
  const repeated = told.filter(({ requestId }) => requestId !== undefined);
  return [...Map.groupBy(repeated, ({ requestId }) => requestId)].flatMap(([requestId, calls]) => {
    const ids = new Set(calls.map(({ id }) => id));
    return ids.size === 1 ? [] : [`request ${requestId} made ${ids.size} executions`];
  });
}
