import type { Database } from '../db/pool.ts';
import { encodeTextArray } from '../db/text-array.ts';
import type { StepRow } from './execution.ts';

type Column = { readonly name: string; readonly cell: (step: StepRow) => string | null };

/** How a step is handed to the database, each a column of texts. */
export const stepColumns: readonly Column[] = [
  { name: 'id', cell: ({ executionId }) => executionId },
  { name: 'seq', cell: ({ sequence }) => String(sequence) },
  { name: 'step', cell: ({ step }) => step },
  { name: 'status', cell: ({ status }) => status },
  { name: 'child', cell: ({ childId }) => childId ?? null },
];

/** The values of steps' columns. */
export function stepValues(steps: readonly StepRow[]): Buffer[] {
  return stepColumns.map(({ cell }) => encodeTextArray(steps.map(cell)));
}

/**
 * The statement that keeps steps given as `s`, those alone whose execution stands or is put by the same statement (`isPut`). Kept twice
 * they are kept once.
 */
export function insertSteps(unnested: string, isPut: boolean): string {
  // What the statement itself puts is not seen by a look at the table.
  const put = isPut ? ' or s.id::uuid in (select id from put)' : '';
  return `insert into executor.execution_events (execution_id, seq, step, status, child_id)
    select s.id::uuid, s.seq::bigint, s.step, s.status, s.child::uuid from ${unnested}
    where exists (select from executor.executions e where e.id = s.id::uuid)${put}
    on conflict do nothing`;
}

const parameters = stepColumns.map((_, index) => `$${index + 1}::text[]`).join(', ');
const writeText = insertSteps(`unnest(${parameters}) as s(${stepColumns.map(({ name }) => name).join(', ')})`, false);

/** Keeps steps by themselves; those whose execution does not stand are left out. */
export async function writeSteps(database: Database, steps: readonly StepRow[]): Promise<void> {
  await database.queryRaw('record_steps', writeText, stepValues(steps));
}
