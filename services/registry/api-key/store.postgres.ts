import { LockMode } from '@mikro-orm/core';
import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId, newId } from '@signet/kit/id.ts';
import { decodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, toPage } from '../db/page.ts';
import type { ListQuery, Page } from '../page.ts';
import { ApiKeyEntity } from './api-key.entity.ts';
import { type ApiKey, adminKeyId } from './api-key.ts';

/** What a new key needs; the store gives it its id and times. */
export type NewApiKey = Pick<ApiKey, 'name' | 'role' | 'prefix' | 'expireTime' | 'labels'> & {
  readonly keyHash: Buffer;
};

/** What can be changed of a key. */
export type ApiKeyChanges = Partial<Pick<ApiKey, 'name' | 'expireTime' | 'revokeTime' | 'labels'>>;

/** Where keys are kept. Bound to one session. */
export type ApiKeyStore = ReturnType<typeof createApiKeyStore>;

const filterFields: FilterFields = {
  id: { column: 'k.id', type: 'uuid' },
  name: { column: 'k.name', type: 'text' },
  role: { column: 'k.role', type: 'enum', values: enumValues('ROLE_', ['viewer', 'runner', 'editor', 'admin']) },
  create_time: { column: 'k.create_time', type: 'timestamp' },
  update_time: { column: 'k.update_time', type: 'timestamp' },
  labels: { column: 'k.labels', type: 'labels' },
};
const orderFields = {
  create_time: { column: 'k.create_time', cast: 'timestamptz' },
  name: { column: 'k.name', cast: 'text' },
};
// The hash never leaves the database but to be compared.
const columns =
  'k.id, k.name, k.role, k.prefix, k.expire_time, k.revoke_time, k.rotate_time, k.former_until, k.labels, k.row_version, k.create_time, k.update_time';

/** Makes the store of keys on a session. */
export function createApiKeyStore({ em, select }: Session) {
  const fresh = { disableIdentityMap: true } as const;
  const get = async (id: string): Promise<ApiKey> => {
    const row = await em.findOne(ApiKeyEntity, { id }, fresh);
    invariant(row !== null, 'a key that was just written is gone');
    return row;
  };
  return {
    /** Reads a key by its id. */
    async find(id: string): Promise<ApiKey | undefined> {
      return isId(id) ? ((await em.findOne(ApiKeyEntity, { id }, fresh)) ?? undefined) : undefined;
    },

    /** Reads a key by its id and holds it until the transaction ends. */
    async lock(id: string): Promise<ApiKey | undefined> {
      if (!isId(id)) return undefined;
      return (await em.findOne(ApiKeyEntity, { id }, { ...fresh, lockMode: LockMode.PESSIMISTIC_WRITE })) ?? undefined;
    },

    /** Makes a key. */
    async create(key: NewApiKey): Promise<ApiKey> {
      const id = newId();
      await em.insert(ApiKeyEntity, { ...key, id, rowVersion: 1 });
      return get(id);
    },

    /** Changes a key that still is in the version it was read in. */
    async change(key: ApiKey, changes: ApiKeyChanges): Promise<ApiKey> {
      const { id, rowVersion } = key;
      const next = { ...changes, rowVersion: rowVersion + 1, updateTime: new Date() };
      const changed = await em.nativeUpdate(ApiKeyEntity, { id, rowVersion }, next);
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      return get(id);
    },

    /** Gives a key another hash; the one that it had stays good until `formerUntil`, null ends it now. */
    async replaceHash(
      key: ApiKey,
      next: {
        readonly prefix: string;
        readonly keyHash: Buffer;
        readonly formerUntil: Date | null;
        readonly rotateTime: Date;
      },
    ): Promise<ApiKey> {
      const { id, rowVersion } = key;
      const changes = { ...next, formerKeyHash: null, rowVersion: rowVersion + 1, updateTime: new Date() };
      const [row] = await em.execute<{ hash: Buffer }[]>(
        `select key_hash as hash from registry.api_keys where id = ?`,
        [id],
      );
      const formerKeyHash = next.formerUntil === null ? null : (row?.hash ?? null);
      const changed = await em.nativeUpdate(ApiKeyEntity, { id, rowVersion }, { ...changes, formerKeyHash });
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      return get(id);
    },

    /** Forgets a key. */
    async remove(id: string): Promise<void> {
      await em.nativeDelete(ApiKeyEntity, { id });
    },

    /** Makes the key that the environment names, or puts its new hash in place of the former; a revoked one that did not change stays so. */
    async putAdminKey(keyHash: Buffer): Promise<void> {
      await em.execute(
        `insert into registry.api_keys (id, name, role, prefix, key_hash) values (?, 'admin', 'admin', '', decode(?, 'hex'))
         on conflict (id) do update
         set key_hash = excluded.key_hash, revoke_time = null, expire_time = null, role = 'admin',
             row_version = api_keys.row_version + 1, update_time = now()
         where api_keys.key_hash <> excluded.key_hash`,
        [adminKeyId, keyHash.toString('hex')],
      );
    },

    /** Reads a page of keys; FILTER_SYNTAX, INVALID_REQUEST and PAGE_TOKEN_INVALID for what cannot be read. */
    async list(query: Omit<ListQuery, 'name'>): Promise<Page<ApiKey>> {
      const tieBreaker = { name: 'id', column: 'k.id', cast: 'uuid' };
      const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', tieBreaker);
      const bound = ['api keys', query.filter, query.orderBy];
      const after = decodePageToken(query.pageToken, bound, order.length);
      const binder = createBinder();
      const conditions = ['true'];
      const filter = parseFilter(query.filter);
      if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
      if (after !== undefined) conditions.push(keysetSql(order, after, binder));
      const rows = await pageRows(
        select<PageRow>(
          `select ${columns}, ${orderKeysSql(order)} from registry.api_keys k where ${conditions.join(' and ')}
           order by ${orderSql(order)} limit ${query.pageSize + 1}`,
          binder.values,
        ),
      );
      return toPage(rows, query.pageSize, bound, order.length, (row) => em.map(ApiKeyEntity, row as never));
    },
  };
}
