import type { Session } from '../db/database.ts';
import { IdempotencyEntity } from './idempotency.entity.ts';

/** What names a repeatable call. */
export type RepeatId = { readonly keyId: string; readonly method: string; readonly requestId: string };

/** An answer that was given before. */
export type EarlierAnswer = {
  readonly requestHash: string;
  readonly response: Uint8Array | undefined;
  readonly reply: Record<string, string>;
};

/** Where answers of repeatable calls are kept. Bound to one transaction. */
export type RepeatStore = ReturnType<typeof createRepeatStore>;

/** Makes the store of answers on a session. */
export function createRepeatStore({ em }: Session) {
  return {
    /** Claims an id for a call; the answer of an earlier one if it is taken. Waits for a call of the same id that still runs. */
    async claim({ keyId, method, requestId }: RepeatId, requestHash: string): Promise<EarlierAnswer | undefined> {
      const claimed = await em.execute<unknown[]>(
        `insert into registry.idempotency as i (key_id, method, request_id, request_hash) values (?, ?, ?, ?)
         on conflict (key_id, method, request_id) do update
         set request_hash = excluded.request_hash, response = null, reply = '{}', create_time = now()
         where i.create_time < now() - interval '24 hours' returning 1`,
        [keyId, method, requestId, requestHash],
      );
      if (claimed.length > 0) return undefined;
      const earlier = await em.findOneOrFail(
        IdempotencyEntity,
        { keyId, method, requestId },
        { disableIdentityMap: true },
      );
      return { requestHash: earlier.requestHash, response: earlier.response ?? undefined, reply: earlier.reply };
    },

    /** Keeps the answer of a claimed call. */
    async remember(id: RepeatId, response: Buffer, reply: Record<string, string>): Promise<void> {
      await em.nativeUpdate(IdempotencyEntity, id, { response, reply });
    },

    /** Forgets what is older than 24 hours. */
    async forgetOld(): Promise<void> {
      await em.execute(`delete from registry.idempotency where create_time < now() - interval '24 hours'`);
    },
  };
}
