import { LockMode } from '@mikro-orm/core';
import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { compileFilter, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId, newId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, shortened, toPage, wholeNumber } from '../db/page.ts';
import type { ListQuery, Page } from '../page.ts';
import { isSlug } from '../program/slug.ts';
import { DatasetEntity, DatasetVersionEntity } from './dataset.entity.ts';
import type { Dataset, DatasetVersion } from './dataset.ts';

/** What a new dataset needs; the store gives it its id and times. */
export type NewDataset = Pick<
  Dataset,
  'slug' | 'name' | 'description' | 'signatureSpec' | 'signatureId' | 'strictMode' | 'labels'
>;

/** What can be changed of a dataset by its callers. */
export type DatasetChanges = Partial<Pick<Dataset, 'name' | 'description' | 'labels'>>;

/** Where datasets are kept, their examples apart. Bound to one session: inside a transaction all of it is one change. */
export type DatasetStore = ReturnType<typeof createDatasetStore>;

const filterFields: FilterFields = {
  id: { column: 'd.id', type: 'uuid' },
  slug: { column: 'd.slug', type: 'text' },
  name: { column: 'd.name', type: 'text' },
  signature_id: { column: 'd.signature_id', type: 'uuid' },
  latest_version: { column: 'd.latest_version', type: 'int' },
  example_count: { column: 'd.example_count', type: 'int' },
  create_time: { column: 'd.create_time', type: 'timestamp' },
  update_time: { column: 'd.update_time', type: 'timestamp' },
  labels: { column: 'd.labels', type: 'labels' },
};
const orderFields = {
  create_time: { column: 'd.create_time', cast: 'timestamptz' },
  update_time: { column: 'd.update_time', cast: 'timestamptz' },
  name: { column: 'd.name', cast: 'text' },
  slug: { column: 'd.slug', cast: 'text' },
  example_count: { column: 'd.example_count', cast: 'bigint' },
};

const nobody = '00000000-0000-0000-0000-000000000000';
const initialColumns = {
  latestVersion: 0,
  exampleCount: 0,
  trainCount: 0,
  validationCount: 0,
  testCount: 0,
  lastPosition: 0,
  rowVersion: 1,
};

/** Makes the store of datasets on a session. */
export function createDatasetStore({ em, select }: Session) {
  const fresh = { disableIdentityMap: true } as const;
  const where = (named: string) => ({
    ...(isId(named) ? { id: named } : isSlug(named) ? { slug: named } : { id: nobody }),
    deleteTime: null,
  });
  const get = async (id: string): Promise<Dataset> => {
    const row = await em.findOne(DatasetEntity, { id }, fresh);
    invariant(row !== null, 'a dataset that was just written is gone');
    return row;
  };
  return {
    /** Reads a dataset that is not deleted, by id or slug. */
    async find(named: string): Promise<Dataset | undefined> {
      return (await em.findOne(DatasetEntity, where(named), fresh)) ?? undefined;
    },

    /** Reads a dataset by id, deleted ones too, or one that is not deleted by slug. */
    async findEver(named: string): Promise<Dataset | undefined> {
      const filter = isId(named) ? { id: named } : where(named);
      return (await em.findOne(DatasetEntity, filter, fresh)) ?? undefined;
    },

    /** Reads a dataset that is not deleted, by id or slug, and holds it until the transaction ends. */
    async lock(named: string): Promise<Dataset | undefined> {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      return (await em.findOne(DatasetEntity, where(named), { ...fresh, lockMode })) ?? undefined;
    },

    /** Makes an empty dataset; undefined if its slug is taken. */
    async create(given: NewDataset): Promise<Dataset | undefined> {
      const id = newId();
      const row = { ...initialColumns, ...given, id };
      const insert = em.createQueryBuilder(DatasetEntity).insert(row).onConflict().ignore();
      return (await insert.execute('run')).affectedRows === 0 ? undefined : get(id);
    },

    /** The next free slug of a base: itself, or with `-2`, `-3` … Callers of one base wait for each other until they commit. */
    async nextSlug(base: string): Promise<string> {
      await em.execute(`select pg_advisory_xact_lock(hashtextextended('registry.datasets.slug:' || ?, 0))`, [base]);
      const [row] = await em.execute<{ taken: boolean; highest: number | null }[]>(
        `select bool_or(slug = ?) as taken, max(nullif(substring(slug from char_length(?) + 2), '')::numeric)::int as highest
         from registry.datasets where delete_time is null and (slug = ? or slug ~ ?)`,
        [base, base, base, `^${base}-[0-9]{1,8}$`],
      );
      if (row?.taken !== true) return base;
      return `${base}-${Math.max(1, row.highest ?? 1) + 1}`;
    },

    /** Changes a dataset that still is in the version it was read in. */
    async change({ id, rowVersion }: Dataset, changes: DatasetChanges & { deleteTime?: Date }): Promise<Dataset> {
      const next = { ...changes, rowVersion: rowVersion + 1, updateTime: new Date() };
      const changed = await em.nativeUpdate(DatasetEntity, { id, rowVersion }, next);
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      return get(id);
    },

    /** Reads a page of datasets; FILTER_SYNTAX, INVALID_REQUEST and PAGE_TOKEN_INVALID for what cannot be read. */
    async list(query: Omit<ListQuery, 'name'>): Promise<Page<Dataset>> {
      const tieBreaker = { name: 'id', column: 'd.id', cast: 'uuid' };
      const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', tieBreaker);
      const bound = ['datasets', query.filter, query.orderBy];
      const after = decodePageToken(query.pageToken, bound, order.length);
      const binder = createBinder();
      const conditions = ['d.delete_time is null'];
      const filter = parseFilter(query.filter);
      if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
      if (after !== undefined) conditions.push(keysetSql(order, after, binder));
      const rows = await pageRows(
        select<PageRow>(
          shortened(`select d.*, ${orderKeysSql(order)} from registry.datasets d
           where ${conditions.join(' and ')} order by ${orderSql(order)} limit ${query.pageSize + 1}`),
          binder.values,
        ),
      );
      return toPage(rows, query.pageSize, bound, order.length, (row) => em.map(DatasetEntity, row as never));
    },

    /** Reads one version. */
    async version(datasetId: string, version: number): Promise<DatasetVersion | undefined> {
      return (await em.findOne(DatasetVersionEntity, { datasetId, version }, fresh)) ?? undefined;
    },

    /** Reads a page of a dataset's versions, newest first. */
    async versions(datasetId: string, pageSize: number, pageToken: string): Promise<Page<DatasetVersion>> {
      const bound = ['dataset versions', datasetId];
      const before = decodePageToken(pageToken, bound, 1)?.[0];
      const rows = await em.find(
        DatasetVersionEntity,
        { datasetId, ...(before === undefined ? {} : { version: { $lt: wholeNumber(before) } }) },
        { ...fresh, orderBy: { version: 'desc' }, limit: pageSize + 1 },
      );
      const items = rows.slice(0, pageSize);
      const last = rows.length > items.length ? items.at(-1) : undefined;
      return { items, nextPageToken: last === undefined ? '' : encodePageToken(bound, [String(last.version)]) };
    },

    /** How many rows all imports up to a version left out as duplicates. */
    async duplicatesUpTo(datasetId: string, version: number): Promise<number> {
      const [row] = await em.execute<{ total: string }[]>(
        'select coalesce(sum(duplicate_count), 0) as total from registry.dataset_versions where dataset_id = ? and version <= ?',
        [datasetId, version],
      );
      return Number(row?.total ?? 0);
    },

    /** The statistics of a version that were worked out before, as JSON text; undefined if they were not. */
    async statistics(datasetId: string, version: number): Promise<string | undefined> {
      const [row] = await em.execute<{ text: string | null }[]>(
        'select statistics::text as text from registry.dataset_versions where dataset_id = ? and version = ?',
        [datasetId, version],
      );
      return row?.text ?? undefined;
    },

    /** Keeps the statistics of a version. */
    async keepStatistics(datasetId: string, version: number, text: string): Promise<void> {
      await em.execute(
        'update registry.dataset_versions set statistics = ?::jsonb where dataset_id = ? and version = ?',
        [text, datasetId, version],
      );
    },

    /** Deletes the examples of datasets that were deleted more than `holdMs` ago, up to 10,000 of them; how many they were. */
    async purgeDeleted(holdMs: number): Promise<number> {
      const rows = await em.execute<unknown[]>(
        `delete from registry.examples where id in (
           select e.id from registry.examples e join registry.datasets d on d.id = e.dataset_id
           where d.delete_time < now() - ? * interval '1 millisecond' limit 10000) returning 1`,
        [holdMs],
      );
      return rows.length;
    },
  };
}

/** The error for a slug that another dataset has. */
export function slugTaken(slug: string): AppError {
  return new AppError('NAME_TAKEN', `The slug \`${slug}\` is taken`, {
    metadata: { resource: slug, field: 'slug' },
    fieldViolations: [{ field: 'slug', reason: 'NAME_TAKEN', description: 'is taken by another dataset' }],
  });
}
