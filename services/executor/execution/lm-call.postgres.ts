import type { Database } from '../db/pool.ts';
import type { Cell } from '../db/text-array.ts';
import type { LmCompletion } from '../lm/language-model.ts';
import type { LmCallRow } from './lm-calls.ts';

/** An answer that an earlier run of an execution was given. */
export type RecordedAnswer = { readonly requestHash: string; readonly completion: LmCompletion };

/** Reads calls of language models that were kept for executions that may have to begin anew. */
export type LmCallStore = {
  /** All that an execution was answered, in order, and the number of its last call; 0 if there was none. */
  read(executionId: string): Promise<{ readonly answers: readonly RecordedAnswer[]; readonly last: number }>;
};

/** Makes the store. */
export function createLmCallStore(database: Database): LmCallStore {
  return {
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
  return `insert into executor.lm_calls (${names}) select ${cellsOf(alias)} from ${unnested} on conflict do nothing`;
}

/**
 * Writes calls with their replies out of an unnested `alias` which also has a `token`: only while that is still the lease's of the
 * execution. `withRows` says that rows are `put` in the same statement.
 */
export function insertKeptCalls(unnested: string, alias: string, withRows: boolean): string {
  const isHeld = (table: string): string =>
    `exists (select from ${table} h where h.id = ${alias}.execution_id::uuid and h.lease_token = ${alias}.token::int)`;
  const held = [...(withRows ? [isHeld('put')] : []), isHeld('executor.executions')].join(' or ');
  return `insert into executor.lm_calls (${names}, reply) select ${cellsOf(alias)}, ${alias}.reply from ${unnested}
    where ${held} on conflict do nothing returning execution_id`;
}

function cellsOf(alias: string): string {
  return callColumns
    .map(({ name, type }) => (type === 'text' ? `${alias}.${name}` : `${alias}.${name}::${type}`))
    .join(', ');
}

const readText = `select seq, encode(request_hash, 'hex') as hash, reply, finish_reason, tokens_in::text, tokens_out::text
  from executor.lm_calls where execution_id = $1::uuid order by seq`;
