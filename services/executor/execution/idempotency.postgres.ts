import type { Database } from '../db/pool.ts';

/** A repeated call is known by its key, its method and the id that the caller gave it. */
export type CallKey = { readonly keyId: string; readonly method: string; readonly requestId: string };

/** What the first of several equal calls came to. */
export type FirstCall = {
  readonly isOurs: boolean;
  readonly isSameRequest: boolean;
  /** The execution that the first call began; empty for calls without one. */
  readonly executionId: string;
  /** The first call's answer; undefined while it runs, and for calls that began an execution. */
  readonly answer: Buffer | undefined;
  readonly ageMs: number;
};

/** Remembers calls for 24 h. */
export type IdempotencyStore = {
  /** Takes a call's place, or gives what stands there. */
  claim(key: CallKey, requestHash: Buffer, executionId: string): Promise<FirstCall>;
  answer(key: CallKey, answer: Buffer): Promise<void>;
  /** Forgets a call that came to nothing, so that it can be made again; one younger than `ageMs` stays: somebody else made it anew. */
  forget(key: CallKey, ageMs?: number): Promise<void>;
  /** Forgets what is older than 24 h. */
  sweep(): Promise<void>;
};

/** Makes the store. */
export function createIdempotencyStore(database: Database): IdempotencyStore {
  return {
    async claim({ keyId, method, requestId }, requestHash, executionId) {
      const values = [keyId, method, requestId, requestHash, executionId === '' ? null : executionId];
      // Whoever finds the row being written waits for it, so one of two always wins.
      const [made] = await database.query('idempotency_claim', claimText, values);
      if (made !== undefined) return { isOurs: true, isSameRequest: true, executionId, answer: undefined, ageMs: 0 };
      const [found] = await database.query<FoundRow>('idempotency_find', findText, [
        keyId,
        method,
        requestId,
        requestHash,
      ]);
      // Forgotten between the two statements.
      if (found === undefined) return this.claim({ keyId, method, requestId }, requestHash, executionId);
      return {
        isOurs: false,
        isSameRequest: found.same,
        executionId: found.execution_id ?? '',
        answer: found.answer ?? undefined,
        ageMs: found.age_ms,
      };
    },
    async answer({ keyId, method, requestId }, answer) {
      await database.query(
        'idempotency_answer',
        'update executor.idempotency set answer = $4 where key_id = $1 and method = $2 and request_id = $3',
        [keyId, method, requestId, answer],
      );
    },
    async forget({ keyId, method, requestId }, ageMs = 0) {
      await database.query(
        'idempotency_forget',
        `delete from executor.idempotency where key_id = $1 and method = $2 and request_id = $3
           and create_time <= now() - make_interval(secs => $4::float8 / 1000)`,
        [keyId, method, requestId, ageMs],
      );
    },
    async sweep() {
      await database.query(
        'idempotency_sweep',
        `delete from executor.idempotency where create_time < now() - interval '24 hours'`,
      );
    },
  };
}

type FoundRow = { execution_id: string | null; answer: Buffer | null; same: boolean; age_ms: number };

const claimText = `insert into executor.idempotency as i (key_id, method, request_id, request_hash, execution_id)
values ($1, $2, $3, $4, $5)
on conflict (key_id, method, request_id) do update set request_hash = excluded.request_hash, execution_id = excluded.execution_id,
  answer = null, create_time = now()
where i.create_time < now() - interval '24 hours'
returning 1 as one`;

const findText = `select execution_id::text, answer, request_hash = $4 as same, extract(epoch from now() - create_time)::float8 * 1000 as age_ms
from executor.idempotency where key_id = $1 and method = $2 and request_id = $3`;
