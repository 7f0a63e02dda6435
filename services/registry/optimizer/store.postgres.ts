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
import { OptimizerEntity } from './optimizer.entity.ts';
import { type Optimizer, optimizerTypes } from './optimizer.ts';

/** What a new optimizer needs; the store gives it its times. */
export type NewOptimizer = Omit<Optimizer, 'state' | 'rowVersion' | 'createTime' | 'updateTime'>;

/** What can be changed of an optimizer. */
export type OptimizerChanges = Partial<Pick<Optimizer, 'name' | 'description' | 'config' | 'labels' | 'state'>>;

/** Where optimizers are kept. Bound to one session: inside a transaction all of it is one change. */
export type OptimizerStore = ReturnType<typeof createOptimizerStore>;

const filterFields: FilterFields = {
  id: { column: 'o.id', type: 'uuid' },
  slug: { column: 'o.slug', type: 'text' },
  name: { column: 'o.name', type: 'text' },
  type: { column: 'o.type', type: 'enum', values: enumValues('OPTIMIZER_TYPE_', optimizerTypes) },
  create_time: { column: 'o.create_time', type: 'timestamp' },
  update_time: { column: 'o.update_time', type: 'timestamp' },
  labels: { column: 'o.labels', type: 'labels' },
};
const orderFields = {
  create_time: { column: 'o.create_time', cast: 'timestamptz' },
  update_time: { column: 'o.update_time', cast: 'timestamptz' },
  name: { column: 'o.name', cast: 'text' },
  slug: { column: 'o.slug', cast: 'text' },
};
const nobody = '00000000-0000-0000-0000-000000000000';

/** Makes the store of optimizers on a session. */
export function createOptimizerStore({ em, select }: Session) {
  const fresh = { disableIdentityMap: true } as const;
  const where = (named: string) => ({
    ...(isId(named) ? { id: named } : isSlug(named) ? { slug: named } : { id: nobody }),
    deleteTime: null,
  });
  const get = async (id: string): Promise<Optimizer> => {
    const row = await em.findOne(OptimizerEntity, { id }, fresh);
    invariant(row !== null, 'an optimizer that was just written is gone');
    return row;
  };
  return {
    /** Reads an optimizer that is not deleted, by id or slug. */
    async find(named: string): Promise<Optimizer | undefined> {
      return (await em.findOne(OptimizerEntity, where(named), fresh)) ?? undefined;
    },

    /** Reads an optimizer that is not deleted, by id or slug, and holds it until the transaction ends. */
    async lock(named: string): Promise<Optimizer | undefined> {
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      return (await em.findOne(OptimizerEntity, where(named), { ...fresh, lockMode })) ?? undefined;
    },

    /** Makes an optimizer; undefined if its slug is taken. */
    async create(given: NewOptimizer): Promise<Optimizer | undefined> {
      const row = { ...given, state: {}, rowVersion: 1 };
      const insert = em.createQueryBuilder(OptimizerEntity).insert(row).onConflict().ignore();
      if ((await insert.execute('run')).affectedRows === 0) return undefined;
      return get(given.id);
    },

    /** Changes an optimizer that still is in the version it was read in. */
    async change({ id, rowVersion }: Optimizer, changes: OptimizerChanges): Promise<Optimizer> {
      const next = { ...changes, rowVersion: rowVersion + 1, updateTime: new Date() };
      const changed = await em.nativeUpdate(OptimizerEntity, { id, rowVersion }, next);
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      return get(id);
    },

    /** Forgets an optimizer; programs that named it name none. */
    async remove({ id, rowVersion }: Optimizer): Promise<void> {
      await em.execute('update registry.programs set optimizer_id = null where optimizer_id = ?', [id]);
      await em.nativeUpdate(OptimizerEntity, { id }, { deleteTime: new Date(), rowVersion: rowVersion + 1 });
    },

    /** Reads a page of optimizers; FILTER_SYNTAX, INVALID_REQUEST and PAGE_TOKEN_INVALID for what cannot be read. */
    async list(query: Omit<ListQuery, 'name'>): Promise<Page<Optimizer>> {
      const tieBreaker = { name: 'id', column: 'o.id', cast: 'uuid' };
      const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', tieBreaker);
      const bound = ['optimizers', query.filter, query.orderBy];
      const after = decodePageToken(query.pageToken, bound, order.length);
      const binder = createBinder();
      const conditions = ['o.delete_time is null'];
      const filter = parseFilter(query.filter);
      if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
      if (after !== undefined) conditions.push(keysetSql(order, after, binder));
      const rows = await pageRows(
        select<PageRow>(
          shortened(`select o.*, ${orderKeysSql(order)} from registry.optimizers o
           where ${conditions.join(' and ')} order by ${orderSql(order)} limit ${query.pageSize + 1}`),
          binder.values,
        ),
      );
      return toPage(rows, query.pageSize, bound, order.length, (row) => em.map(OptimizerEntity, row as never));
    },
  };
}

/** The error for a slug that another optimizer has. */
export function slugTaken(slug: string): AppError {
  return new AppError('NAME_TAKEN', `The slug \`${slug}\` is taken`, {
    metadata: { resource: slug, field: 'slug' },
    fieldViolations: [{ field: 'slug', reason: 'NAME_TAKEN', description: 'is taken by another optimizer' }],
  });
}
