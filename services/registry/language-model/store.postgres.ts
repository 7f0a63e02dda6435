import { LockMode } from '@mikro-orm/core';
import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId } from '@signet/kit/id.ts';
import { decodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, shortened, toPage } from '../db/page.ts';
import type { ListQuery, Page } from '../page.ts';
import { isSlug } from '../program/slug.ts';
import { catalogChannel } from '../program/store.postgres.ts';
import type { Sealed } from '../sealing/seal.ts';
import { LanguageModelEntity } from './language-model.entity.ts';
import { type LanguageModel, lmProviders } from './language-model.ts';

/** What a new language model needs; the store gives it its times. */
export type NewLanguageModel = Omit<LanguageModel, 'rowVersion' | 'createTime' | 'updateTime' | 'credentialUpdateTime'>;

/** What can be changed of a language model, its credential apart. */
export type LanguageModelChanges = Partial<Omit<NewLanguageModel, 'id' | 'slug'>>;

/** Where language models are kept. Bound to one session: inside a transaction all of it is one change. No read gives a credential. */
export type LanguageModelStore = ReturnType<typeof createLanguageModelStore>;

const filterFields: FilterFields = {
  id: { column: 'm.id', type: 'uuid' },
  slug: { column: 'm.slug', type: 'text' },
  name: { column: 'm.name', type: 'text' },
  model: { column: 'm.model', type: 'text' },
  provider: { column: 'm.provider', type: 'enum', values: enumValues('LM_PROVIDER_', lmProviders) },
  has_credential: { column: '(m.credential_update_time is not null)', type: 'bool' },
  create_time: { column: 'm.create_time', type: 'timestamp' },
  update_time: { column: 'm.update_time', type: 'timestamp' },
  labels: { column: 'm.labels', type: 'labels' },
};
const orderFields = {
  create_time: { column: 'm.create_time', cast: 'timestamptz' },
  update_time: { column: 'm.update_time', cast: 'timestamptz' },
  name: { column: 'm.name', cast: 'text' },
  slug: { column: 'm.slug', cast: 'text' },
};
const columns = [
  ...['id', 'slug', 'name', 'description', 'provider', 'model', 'api_base', 'parameters', 'capabilities'],
  ...['constrained', 'limits', 'prices', 'fallbacks', 'labels', 'credential_update_time', 'row_version'],
  ...['create_time', 'update_time'],
].map((column) => `m.${column}`);

const nobody = '00000000-0000-0000-0000-000000000000';
const initialColumns = { catalogRevision: 0, rowVersion: 1 };

/** Makes the store of language models on a session. */
export function createLanguageModelStore({ em, select }: Session) {
  const fresh = { disableIdentityMap: true } as const;
  const where = (named: string) => ({
    ...(isId(named) ? { id: named } : isSlug(named) ? { slug: named } : { id: nobody }),
    deleteTime: null,
  });
  // The counter's row is locked from here to the commit, so revisions become visible in their order. Hence last in a change.
  const announce = async (id: string): Promise<void> => {
    await em.execute(
      `with next as (update registry.catalog_revision set revision = revision + 1 returning revision)
       update registry.language_models set catalog_revision = next.revision from next where id = ?`,
      [id],
    );
    await em.execute(`select pg_notify('${catalogChannel}', '')`);
  };
  const get = async (id: string): Promise<LanguageModel> => {
    const row = await em.findOne(LanguageModelEntity, { id }, fresh);
    invariant(row !== null, 'a language model that was just written is gone');
    return row;
  };
  return {
    /** Reads a language model that is not deleted, by id or slug. */
    async find(named: string): Promise<LanguageModel | undefined> {
      return (await em.findOne(LanguageModelEntity, where(named), fresh)) ?? undefined;
    },

    /** Reads a language model that is not deleted, by id or slug, and holds it until the transaction ends. */
    async lock(named: string): Promise<LanguageModel | undefined> {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      return (await em.findOne(LanguageModelEntity, where(named), { ...fresh, lockMode })) ?? undefined;
    },

    /** True if there is a language model of a slug; it then stays until the transaction ends. */
    async hold(slug: string): Promise<boolean> {
      if (!isSlug(slug)) return false;
      const rows = await em.execute<unknown[]>(
        'select 1 from registry.language_models where slug = ? and delete_time is null for share',
        [slug],
      );
      return rows.length > 0;
    },

    /** Makes a language model with its sealed credential; undefined if its slug is taken. */
    async create(given: NewLanguageModel, credential: Sealed | undefined): Promise<LanguageModel | undefined> {
      const row = { ...initialColumns, ...given, ...credentialColumns(credential, new Date()) };
      const insert = em.createQueryBuilder(LanguageModelEntity).insert(row).onConflict().ignore();
      if ((await insert.execute('run')).affectedRows === 0) return undefined;
      await announce(given.id);
      return get(given.id);
    },

    /** Changes a language model that still is in the version it was read in; a credential of null forgets it, undefined leaves it. */
    async change(
      { id, rowVersion }: LanguageModel,
      changes: LanguageModelChanges,
      credential?: Sealed | null,
    ): Promise<LanguageModel> {
      const now = new Date();
      const sealed = credentialColumns(credential, now);
      const next = { ...changes, ...sealed, rowVersion: rowVersion + 1, updateTime: now };
      const changed = await em.nativeUpdate(LanguageModelEntity, { id, rowVersion }, next);
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      await announce(id);
      return get(id);
    },

    /** Forgets a language model and its credential; a tombstone tells executors so. */
    async remove({ id, rowVersion }: LanguageModel): Promise<void> {
      const gone = { ...credentialColumns(null), deleteTime: new Date(), rowVersion: rowVersion + 1 };
      await em.nativeUpdate(LanguageModelEntity, { id }, gone);
      await announce(id);
    },

    /** Reads who falls back on whom, by slug; whoever else asks waits until the transaction ends. */
    async lockFallbacks(): Promise<Map<string, readonly string[]>> {
      await em.execute(`select pg_advisory_xact_lock(hashtextextended('registry.language_models.fallbacks', 0))`);
      const rows = await em.execute<{ slug: string; fallbacks: string[] }[]>(
        'select slug, fallbacks from registry.language_models where delete_time is null',
      );
      return new Map(rows.map(({ slug, fallbacks }) => [slug, fallbacks]));
    },

    /** The slugs of up to ten programs in use whose newest or serving version names a language model. */
    async programsThatName(slug: string): Promise<string[]> {
      const rows = await em.execute<{ slug: string }[]>(
        `select distinct p.slug from registry.programs p
         join registry.program_versions v on v.program_id = p.id and v.version in (p.latest_version, p.serving_version)
         where p.delete_time is null and p.status <> 'archived' and v.configuration ->> 'lm' = ?
         order by p.slug limit 10`,
        [slug],
      );
      return rows.map((row) => row.slug);
    },

    /** Reads a page of language models; FILTER_SYNTAX, INVALID_REQUEST and PAGE_TOKEN_INVALID for what cannot be read. */
    async list(query: Omit<ListQuery, 'name'>): Promise<Page<LanguageModel>> {
      const tieBreaker = { name: 'id', column: 'm.id', cast: 'uuid' };
      const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', tieBreaker);
      const bound = ['language models', query.filter, query.orderBy];
      const after = decodePageToken(query.pageToken, bound, order.length);
      const binder = createBinder();
      const conditions = ['m.delete_time is null'];
      const filter = parseFilter(query.filter);
      if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
      if (after !== undefined) conditions.push(keysetSql(order, after, binder));
      const rows = await pageRows(
        select<PageRow>(
          shortened(`select ${columns.join(', ')}, ${orderKeysSql(order)} from registry.language_models m
           where ${conditions.join(' and ')} order by ${orderSql(order)} limit ${query.pageSize + 1}`),
          binder.values,
        ),
      );
      return toPage(rows, query.pageSize, bound, order.length, (row) => em.map(LanguageModelEntity, row as never));
    },
  };
}

function credentialColumns(sealed: Sealed | null | undefined, now?: Date) {
  if (sealed === undefined) return {};
  if (sealed === null) return { credential: null, credentialKeyId: null, credentialUpdateTime: null };
  return { credential: sealed.bytes, credentialKeyId: sealed.keyId, credentialUpdateTime: now };
}

/** The error for a slug that another language model has. */
export function slugTaken(slug: string): AppError {
  return new AppError('NAME_TAKEN', `The slug \`${slug}\` is taken`, {
    metadata: { resource: slug, field: 'slug' },
    fieldViolations: [{ field: 'slug', reason: 'NAME_TAKEN', description: 'is taken by another language model' }],
  });
}
