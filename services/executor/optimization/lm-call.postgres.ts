import type { Database } from '../db/pool.ts';

/** What was said to a language model before, as a job that goes on needs it. */
export type RecordedCall = {
  readonly seq: number;
  /** In hexadecimal digits. */
  readonly requestHash: string;
  /** Undefined if it failed, or if nobody knows. */
  readonly reply: string | undefined;
  readonly finishReason: string;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** In US dollars; undefined without a price. */
  readonly cost: number | undefined;
};

/** A call that is about to be sent, with what it can come to at most. */
export type SentCall = Omit<RecordedCall, 'reply' | 'finishReason'> & { readonly lm: string };

/** How a call ended. */
export type EndedCall = Omit<RecordedCall, 'requestHash'> & { readonly reason: string };

/** Keeps the calls of jobs: each before it is sent, and its end before its answer is passed on. */
export type JobCallStore = {
  /** All calls of a job in order. */
  read(jobId: string): Promise<RecordedCall[]>;
  /** Notes that a call is about to be sent, while the job is held under this lease; false once it is another's. */
  send(jobId: string, leaseToken: number, call: SentCall): Promise<boolean>;
  /** Notes how a call ended. */
  end(jobId: string, call: EndedCall): Promise<void>;
  /** Forgets a call that was not sent after all. */
  forget(jobId: string, seq: number): Promise<void>;
};

/** Makes the store. */
export function createJobCallStore(database: Database): JobCallStore {
  return {
    async read(jobId) {
      const rows = await database.query<CallRow>(
        'optimization_calls_read',
        `select seq, encode(request_hash, 'hex') as hash, reply, finish_reason, tokens_in::text, tokens_out::text, cost
         from executor.optimization_lm_calls where job_id = $1 order by seq`,
        [jobId],
      );
      return rows.map((row) => ({
        seq: row.seq,
        requestHash: row.hash,
        reply: row.reply ?? undefined,
        finishReason: row.finish_reason,
        tokensIn: Number(row.tokens_in),
        tokensOut: Number(row.tokens_out),
        cost: row.cost ?? undefined,
      }));
    },
    async send(jobId, leaseToken, call) {
      const rows = await database.query('optimization_call_send', sendText, [
        ...[jobId, leaseToken, call.seq, `\\x${call.requestHash}`, call.lm],
        ...[String(call.tokensIn), String(call.tokensOut), call.cost ?? null],
      ]);
      return rows.length > 0;
    },
    async end(jobId, call) {
      // Postgres keeps no U+0000 in a text; such an answer is asked for again after a loss.
      const reply = call.reply === undefined || call.reply.includes('\0') ? null : call.reply;
      await database.query('optimization_call_end', endText, [
        ...[jobId, call.seq, reply, call.finishReason.replaceAll('\0', ''), call.reason],
        ...[String(call.tokensIn), String(call.tokensOut), call.cost ?? null],
      ]);
    },
    async forget(jobId, seq) {
      const text = 'delete from executor.optimization_lm_calls where job_id = $1 and seq = $2';
      await database.query('optimization_call_forget', text, [jobId, seq]);
    },
  };
}

type CallRow = {
  seq: number;
  hash: string;
  reply: string | null;
  finish_reason: string;
  tokens_in: string;
  tokens_out: string;
  cost: number | null;
};

// One that was noted although nobody heard of it is noted once.
const sendText = `insert into executor.optimization_lm_calls (job_id, seq, request_hash, lm, tokens_in, tokens_out, cost)
select $1::uuid, $3::int, $4::bytea, $5, $6::bigint, $7::bigint, $8::float8
where exists (select from executor.optimization_jobs where id = $1::uuid and lease_token = $2::int and status = 'running')
on conflict (job_id, seq) do update set lm = excluded.lm
  where optimization_lm_calls.request_hash = excluded.request_hash and optimization_lm_calls.end_time is null
returning seq`;

const endText = `update executor.optimization_lm_calls set reply = $3, finish_reason = $4, reason = $5, tokens_in = $6::bigint,
  tokens_out = $7::bigint, cost = $8::float8, end_time = now() where job_id = $1 and seq = $2`;
