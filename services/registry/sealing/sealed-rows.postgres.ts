import type { Database } from '../db/database.ts';
import type { Sealed, SealedKind } from './seal.ts';

/** One sealed value and the row that holds it. */
export type SealedRow = { readonly kind: SealedKind; readonly id: string; readonly sealed: Buffer };

/** All that is kept sealed, whatever table it is in. */
export type SealedRows = ReturnType<typeof createSealedRows>;

const replacements: Readonly<Record<SealedKind, string>> = {
  'language-model': `update registry.language_models set credential = decode(?, 'hex'), credential_key_id = ?
    where id = ? and credential = decode(?, 'hex') returning id`,
  pepper: `update registry.peppers set sealed = decode(?, 'hex'), key_id = ?
    where id = ? and sealed = decode(?, 'hex') returning id`,
};

/** Makes the way to what is sealed. */
export function createSealedRows(database: Pick<Database, 'read' | 'transaction'>) {
  return {
    /** Reads what another secret key than `keyId` sealed, or one that nobody noted. */
    sealedByOthers(keyId: string): Promise<SealedRow[]> {
      return database.read<SealedRow>(
        'sealed-by-others',
        `select 'pepper' as kind, id, sealed from registry.peppers where key_id <> $1
         union all
         select 'language-model', id, credential from registry.language_models
         where credential is not null and credential_key_id is distinct from $1
         order by 1 desc, 2`,
        [keyId],
      );
    },

    /** Puts a value that was sealed anew in the place of the one that was read, in a transaction of its own; false if that changed since. */
    async replace({ kind, id, sealed }: SealedRow, next: Sealed): Promise<boolean> {
      const values = [next.bytes.toString('hex'), next.keyId, id, sealed.toString('hex')];
      return database.transaction(async ({ em }) => {
        const changed = await em.execute<unknown[]>(replacements[kind], values);
        return changed.length > 0;
      });
    },
  };
}
