import type { Database } from '../db/pool.ts';
import type { Cell } from '../db/text-array.ts';
import type { LmCompletion } from '../lm/language-model.ts';
import type { LmCallRow } from './lm-calls.ts';

/** An answer that an earlier run of an execution was given. */
export type RecordedAnswer = { readonly requestHash: string; readonly completion: LmCompletion };

/** Keeps calls of language models one by one, for executions that may have to begin anew. */
export type LmCallStore = {
  /** Writes one call while the execution is held under this lease; gives back whether it was. */
  write(call: LmCallRow, leaseToken: number): Promise<boolean>;
  /** All that an execution was answered, in order, and the number of its last call; 0 if there was none. */
  read(executionId: string): Promise<{ readonly answers: readonly RecordedAnswer[]; readonly last: number }>;
};

/** Makes the store. */
export function createLmCallStore(database: Database): LmCallStore {
  return {
    async write(call, leaseToken) {
      const values = [...callColumns.map(({ cell }) => cell(call)), call.reply ?? null, leaseToken];
      return (await database.query('lm_call_write', writeText, values)).length > 0;
    },
    async read(executionId) {
      const rows = await database.query<AnswerRow>('lm_calls_read', readText, [executionId]);
      const answers = rows.flatMap((row) => (row.reply === null ? [] : [answerOf(row, row.reply)]));
      return { answers, last: rows.at(-1)?.seq ?? 0 };
    },
  };
}

type AnswerRow = {
  seq: number;
  hash: string;
  reply: string | null;
  finish_reason: string;
  tokens_in: string;
  tokens_out: string;
};

function answerOf(row: AnswerRow, text: string): RecordedAnswer {
  const completion = {
    text,
    streamed: false,
    promptTokens: Number(row.tokens_in),
    completionTokens: Number(row.tokens_out),
    finishReason: row.finish_reason,
  };
  return { requestHash: row.hash, completion };
}

/** The columns of a call as an end row takes it along; all are text. */
export const callColumns: readonly {
  readonly name: string;
  readonly type: string;
  readonly cell: (call: LmCallRow) => Cell;
}[] = [
  { name: 'execution_id', type: 'uuid', cell: (call) => call.executionId },
  { name: 'seq', type: 'int', cell: (call) => String(call.seq) },
  { name: 'run', type: 'int', cell: (call) => String(call.run) },
  { name: 'lm', type: 'text', cell: (call) => call.slug },
  { name: 'model', type: 'text', cell: (call) => call.model },
  { name: 'request_hash', type: 'bytea', cell: (call) => `\\x${call.requestHash}` },
  { name: 'finish_reason', type: 'text', cell: (call) => call.finishReason.replaceAll('\0', '') },
  { name: 'tokens_in', type: 'bigint', cell: (call) => String(call.promptTokens) },
  { name: 'tokens_out', type: 'bigint', cell: (call) => String(call.completionTokens) },
  { name: 'cost', type: 'float8', cell: (call) => (call.cost === undefined ? null : String(call.cost)) },
  { name: 'duration_ms', type: 'float8', cell: (call) => call.durationMs.toFixed(3) },
  { name: 'attempts', type: 'int', cell: (call) => String(call.attempts) },
  { name: 'reason', type: 'text', cell: (call) => call.reason },
];

const names = callColumns.map(({ name }) => name).join(', ');

/** Writes calls out of an unnested `alias`. */
export function insertCalls(unnested: string, alias: string): string {
  const cells = callColumns.map(({ name, type }) =>
    type === 'text' ? `${alias}.${name}` : `${alias}.${name}::${type}`,
  );
  return `insert into executor.lm_calls (${names}) select ${cells.join(', ')} from ${unnested} on conflict do nothing`;
}

const parameters = callColumns.map(({ type }, at) => `$${at + 1}::text::${type}`).join(', ');
// Postgres keeps no U+0000 in a text; `reply` leaves such an answer out, and it is asked for again.
const writeText = `insert into executor.lm_calls (${names}, reply)
  select ${parameters}, $${callColumns.length + 1}::text
  where exists (select from executor.executions where id = $1::text::uuid and lease_token = $${callColumns.length + 2}::int)
  on conflict do nothing returning seq`;

const readText = `select seq, encode(request_hash, 'hex') as hash, reply, finish_reason, tokens_in::text, tokens_out::text
  from executor.lm_calls where execution_id = $1::uuid order by seq`;
