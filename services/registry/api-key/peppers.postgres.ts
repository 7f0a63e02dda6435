import type { Session } from '../db/database.ts';
import type { Sealed } from '../sealing/seal.ts';

/** Where peppers are kept, sealed. Bound to one transaction. */
export type PepperStore = ReturnType<typeof createPepperStore>;

/** Makes the store of peppers on a session. */
export function createPepperStore({ em }: Session) {
  return {
    /** Reads all, the oldest first; whoever else asks waits until the transaction ends. */
    async lockAll(): Promise<{ readonly id: string; readonly sealed: Buffer }[]> {
      await em.execute(`select pg_advisory_xact_lock(hashtextextended('registry.peppers', 0))`);
      return em.execute('select id, sealed from registry.peppers order by id');
    },

    /** Keeps another one. */
    async add(id: string, { bytes, keyId }: Sealed): Promise<void> {
      await em.execute(`insert into registry.peppers (id, sealed, key_id) values (?, decode(?, 'hex'), ?)`, [
        ...[id, bytes.toString('hex'), keyId],
      ]);
    },
  };
}
