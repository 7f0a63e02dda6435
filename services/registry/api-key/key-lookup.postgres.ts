import type { Role } from '@signet/kit/call-context.ts';
import type { Database } from '../db/database.ts';

/** A key as it is found by its hash. */
export type FoundKey = {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly expireTime: Date | undefined;
  readonly isRevoked: boolean;
  /** By the database's clock. */
  readonly isExpired: boolean;
};

/** Finds a key by its hashes, one for each pepper. */
export type KeyLookup = { byHash(keyHashes: readonly Buffer[]): Promise<FoundKey | undefined> };

type Row = {
  id: string;
  name: string;
  role: Role;
  expire_time: string | null;
  is_revoked: boolean;
  is_expired: boolean;
};

/** Makes the lookup over the database: one prepared statement a key. */
export function createKeyLookup(database: Pick<Database, 'read'>): KeyLookup {
  return {
    async byHash(keyHashes) {
      const [row] = await database.read<Row>(
        'authenticate-key',
        // A former secret ends with its overlap, or with the key.
        `select id, name, role, end_time as expire_time, is_revoked, coalesce(end_time <= now(), false) as is_expired
         from (
           select id, name, role, revoke_time is not null as is_revoked,
             case when key_hash = any ($1) then expire_time else least(expire_time, former_until) end as end_time
           from registry.api_keys where key_hash = any ($1) or former_key_hash = any ($1)
         ) found`,
        [keyHashes],
      );
      if (row === undefined) return undefined;
      const { id, name, role, expire_time: expireTime, is_revoked: isRevoked, is_expired: isExpired } = row;
      return {
        id,
        name,
        role,
        isRevoked,
        isExpired,
        expireTime: expireTime === null ? undefined : new Date(expireTime),
      };
    },
  };
}
