import { LockMode } from '@mikro-orm/core';
import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { isId, newId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken } from '@signet/kit/page-token.ts';
import { isModuleName } from '@signet/signature/module-name.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, shortened, toPage, wholeNumber } from '../db/page.ts';
import { ModuleEntity } from '../module/module.entity.ts';
import type { ListQuery, Page } from '../page.ts';
import { ProgramEntity } from '../program/program.entity.ts';
import { SignatureEntity, SignatureModuleEntity, SignatureVersionEntity } from './signature.entity.ts';
import {
  fromSnapshot,
  type ReportedModule,
  type Signature,
  type SignatureStatus,
  type SignatureVersion,
  toSnapshot,
} from './signature.ts';

/** What a new signature needs; the store gives it its id and times. */
export type NewSignature = Omit<Signature, 'id' | 'status' | 'rowVersion' | 'createTime' | 'updateTime'>;

/** What can be changed of a signature. */
export type SignatureChanges = Partial<Omit<Signature, 'id' | 'module' | 'rowVersion' | 'createTime' | 'updateTime'>>;

/** Where signatures are kept. Bound to one session: inside a transaction all of it is one change. */
export type SignatureStore = ReturnType<typeof createSignatureStore>;

const filterFields: FilterFields = {
  id: { column: 's.id', type: 'uuid' },
  name: { column: 's.name', type: 'text' },
  module: { column: 's.module', type: 'text' },
  version: { column: 's.version', type: 'text' },
  status: {
    column: 's.status',
    type: 'enum',
    values: enumValues('SIGNATURE_STATUS_', ['draft', 'active', 'deprecated']),
  },
  create_time: { column: 's.create_time', type: 'timestamp' },
  update_time: { column: 's.update_time', type: 'timestamp' },
  inserted_at: { column: 's.create_time', type: 'timestamp' },
  updated_at: { column: 's.update_time', type: 'timestamp' },
  labels: { column: 's.labels', type: 'labels' },
};

const orderFields = {
  create_time: { column: 's.create_time', cast: 'timestamptz' },
  update_time: { column: 's.update_time', cast: 'timestamptz' },
  inserted_at: { column: 's.create_time', cast: 'timestamptz' },
  updated_at: { column: 's.update_time', cast: 'timestamptz' },
  name: { column: 's.name', cast: 'text' },
  module: { column: 's.module', cast: 'text' },
};

const nobody = '00000000-0000-0000-0000-000000000000';

/** Makes the store of signatures on a session. */
export function createSignatureStore({ em, select }: Session) {
  const fresh = { disableIdentityMap: true } as const;
  // What can be neither is not asked for: such a text may hold what no statement can carry.
  const where = (named: string) =>
    isId(named) ? { id: named } : isModuleName(named) ? { module: named } : { id: nobody };

  const snapshot = async (signature: Signature): Promise<void> => {
    const { id: signatureId, rowVersion: revision } = signature;
    await em.insert(SignatureVersionEntity, { id: newId(), signatureId, revision, snapshot: toSnapshot(signature) });
  };
  const get = async (id: string): Promise<Signature> => {
    const row = await em.findOne(SignatureEntity, { id }, fresh);
    invariant(row !== null, 'a signature that was just written is gone');
    return row;
  };

  return {
    /** Reads a signature by id or module. */
    async find(named: string): Promise<Signature | undefined> {
      return (await em.findOne(SignatureEntity, where(named), fresh)) ?? undefined;
    },

    /** Reads a signature by id or module and holds it until the transaction ends. */
    async lock(named: string): Promise<Signature | undefined> {
      const found = await em.findOne(SignatureEntity, where(named), { ...fresh, lockMode: LockMode.PESSIMISTIC_WRITE });
      return found ?? undefined;
    },

    /** Makes a signature, DRAFT, unless its module is taken; of many callers one makes it, the others get undefined. */
    async insertIfAbsent(signature: NewSignature): Promise<Signature | undefined> {
      const id = newId();
      const row = { ...signature, id, status: 'draft' as const, rowVersion: 1 };
      const query = em.createQueryBuilder(SignatureEntity).insert(row).onConflict('module').ignore();
      if ((await query.execute('run')).affectedRows === 0) return undefined;
      const made = await get(id);
      await snapshot(made);
      return made;
    },

    /** Changes a signature that still is in the state and version it was read in, and keeps a snapshot of the result. */
    async change(signature: Signature, changes: SignatureChanges): Promise<Signature> {
      const { id, status, rowVersion } = signature;
      const changed = await em.nativeUpdate(
        SignatureEntity,
        { id, status, rowVersion },
        { ...changes, rowVersion: rowVersion + 1, updateTime: new Date() },
      );
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      const result = await get(id);
      await snapshot(result);
      return result;
    },

    /** True if a program or a module that is not deleted uses the signature. */
    async isUsed(id: string): Promise<boolean> {
      const used = { signatureId: id, deleteTime: null };
      const one = { ...fresh, fields: ['id'] as const };
      return (
        (await em.findOne(ProgramEntity, used, one)) !== null || (await em.findOne(ModuleEntity, used, one)) !== null
      );
    },

    /** Forgets a signature and its snapshots. */
    async remove(id: string): Promise<void> {
      await em.nativeDelete(SignatureEntity, { id });
    },

    /** Reads a page of signatures; FILTER_SYNTAX, INVALID_REQUEST and PAGE_TOKEN_INVALID for what cannot be read. */
    async list(query: ListQuery & { readonly status: SignatureStatus | undefined }): Promise<Page<Signature>> {
      const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', {
        name: 'id',
        column: 's.id',
        cast: 'uuid',
      });
      const bound = ['signatures', query.filter, query.orderBy, query.name, query.status ?? ''];
      const after = decodePageToken(query.pageToken, bound, order.length);
      const binder = createBinder();
      const conditions = ['true'];
      const filter = parseFilter(query.filter);
      if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
      if (query.name !== '') conditions.push(`s.name = ${binder.bind(query.name)}`);
      if (query.status !== undefined) conditions.push(`s.status = ${binder.bind(query.status)}`);
      if (after !== undefined) conditions.push(keysetSql(order, after, binder));
      const rows = await pageRows(
        select<PageRow>(
          shortened(`select s.*, ${orderKeysSql(order)} from registry.signatures s where ${conditions.join(' and ')}
           order by ${orderSql(order)} limit ${query.pageSize + 1}`),
          binder.values,
        ),
      );
      return toPage(rows, query.pageSize, bound, order.length, (row) => em.map(SignatureEntity, row as never));
    },

    /** Reads a page of a signature's snapshots, newest first. */
    async versions(id: string, pageSize: number, pageToken: string): Promise<Page<SignatureVersion>> {
      const bound = ['signature versions', id];
      const before = decodePageToken(pageToken, bound, 1)?.[0];
      const rows = await em.find(
        SignatureVersionEntity,
        { signatureId: id, ...(before === undefined ? {} : { revision: { $lt: wholeNumber(before) } }) },
        { ...fresh, orderBy: { revision: 'desc' }, limit: pageSize + 1 },
      );
      const items = rows.slice(0, pageSize).map((row) => ({ ...row, signature: fromSnapshot(row.snapshot) }));
      const last = rows.length > pageSize ? items.at(-1) : undefined;
      return { items, nextPageToken: last === undefined ? '' : encodePageToken(bound, [String(last.revision)]) };
    },

    /** Reads what workers reported about a module. */
    async reportedModule(name: string): Promise<ReportedModule | undefined> {
      return (await em.findOne(SignatureModuleEntity, { name }, fresh)) ?? undefined;
    },

    /** Replaces all that workers reported. */
    async replaceReportedModules(modules: readonly ReportedModule[]): Promise<void> {
      await em.nativeDelete(SignatureModuleEntity, { name: { $nin: modules.map(({ name }) => name) } });
      for (const module of modules) {
        await em.upsert(SignatureModuleEntity, { ...module, updateTime: new Date() }, { onConflictFields: ['name'] });
      }
    },
  };
}
