import { LockMode } from '@mikro-orm/core';
import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { isId, newId } from '@signet/kit/id.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import type { Session } from '../db/database.ts';
import type { Page } from '../page.ts';
import { catalogChannel } from '../program/store.postgres.ts';
import type { BackendReport, ReportedBackend } from './backend.ts';
import { listModules, type ModuleListQuery } from './list.postgres.ts';
import { ModuleEntity } from './module.entity.ts';
import { isModuleLabel, type Module, type ModuleView, moduleNameTaken } from './module.ts';

/** What a new module needs; the store gives it its id and times. */
export type NewModule = Omit<
  Module,
  | 'id'
  | 'state'
  | 'inFlight'
  | 'errorMessage'
  | 'performanceMetrics'
  | 'generation'
  | 'rowVersion'
  | 'createTime'
  | 'updateTime'
>;

/** What can be changed of a module. */
export type ModuleChanges = Partial<
  Omit<Module, 'id' | 'rowVersion' | 'createTime' | 'updateTime'> & { deleteTime: Date }
>;

/** Where modules are kept. Bound to one session: inside a transaction all of it is one change. */
export type ModuleStore = ReturnType<typeof createModuleStore>;

const nobody = '00000000-0000-0000-0000-000000000000';
const metricsMaxBytes = 65_536;

/** Makes the store of modules on a session. */
export function createModuleStore(session: Session) {
  const { em, select } = session;
  const fresh = { disableIdentityMap: true } as const;
  const where = (named: string) => ({
    ...(isId(named) ? { id: named } : isModuleLabel(named) ? { name: named } : { id: nobody }),
    deleteTime: null,
  });
  // As with programs: the counter's row is locked from here to the commit, hence last in a change.
  const announce = async (id: string): Promise<void> => {
    await em.execute(
      `with next as (update registry.catalog_revision set revision = revision + 1 returning revision)
       update registry.modules set catalog_revision = next.revision from next where id = ?`,
      [id],
    );
    await em.execute(`select pg_notify('${catalogChannel}', '')`);
  };
  const get = async (id: string): Promise<Module> => {
    const row = await em.findOne(ModuleEntity, { id }, fresh);
    invariant(row !== null, 'a module that was just written is gone');
    return row;
  };
  const find = async (named: string): Promise<Module | undefined> =>
    (await em.findOne(ModuleEntity, where(named), fresh)) ?? undefined;

  return {
    /** Reads a module that is not deleted, by id or name. */
    find,

    /** Reads the modules that are not deleted, by ids or names; those that are not there are left out. */
    async findAll(named: readonly string[]): Promise<Module[]> {
      const ids = named.filter(isId);
      const names = named.filter(isModuleLabel);
      return em.find(
        ModuleEntity,
        { $or: [{ id: { $in: ids } }, { name: { $in: names } }], deleteTime: null },
        { ...fresh, orderBy: { id: 'asc' } },
      );
    },

    /** The names of up to 500 modules that are not deleted, in their order. */
    async names(): Promise<string[]> {
      const rows = await em.execute<{ name: string }[]>(
        'select name from registry.modules where delete_time is null order by name limit 500',
      );
      return rows.map(({ name }) => name);
    },

    /** Reads a module that is not deleted, by id or name, and holds it until the transaction ends. */
    async lock(named: string): Promise<Module | undefined> {
      const found = await em.findOne(ModuleEntity, where(named), { ...fresh, lockMode: LockMode.PESSIMISTIC_WRITE });
      return found ?? undefined;
    },

    /** Which of these modules are there, by ids; those are not deleted until the transaction ends. */
    async hold(ids: readonly string[]): Promise<ReadonlySet<string>> {
      if (ids.length === 0) return new Set();
      // In one order, so that two that hold the same cannot lock each other.
      const rows = await em.execute<{ id: string }[]>(
        'select id from registry.modules where id in (?) and delete_time is null order by id for key share',
        [ids],
      );
      return new Set(rows.map(({ id }) => id));
    },

    /** The slugs of up to four programs, neither deleted nor archived, any version of which is composed of a module. */
    async programsComposedOf(id: string): Promise<string[]> {
      const rows = await em.execute<{ slug: string }[]>(
        `select distinct p.slug from registry.program_modules m join registry.programs p on p.id = m.program_id
         where m.module_id = ? and p.delete_time is null and p.status <> 'archived' order by p.slug limit 4`,
        [id],
      );
      return rows.map(({ slug }) => slug);
    },

    /** Makes a module, UNINITIALIZED; NAME_TAKEN if its name is taken. */
    async create(module: NewModule): Promise<Module> {
      const id = newId();
      const insert = em
        .createQueryBuilder(ModuleEntity)
        .insert({ ...initialColumns, ...module, id })
        .onConflict()
        .ignore();
      if ((await insert.execute('run')).affectedRows === 0) throw moduleNameTaken(module.name);
      await announce(id);
      return get(id);
    },

    /** Changes a module that still is in the version it was read in; NAME_TAKEN for a name that is taken. */
    async change(module: Module, changes: ModuleChanges): Promise<Module> {
      const { id, rowVersion } = module;
      const { name } = changes;
      if (name !== undefined && name !== module.name && (await find(name)) !== undefined) throw moduleNameTaken(name);
      const changed = await em.nativeUpdate(
        ModuleEntity,
        { id, rowVersion },
        { ...changes, rowVersion: rowVersion + 1, updateTime: new Date() },
      );
      if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
      await announce(id);
      return get(id);
    },

    /**
     * Merges figures into what is kept, in one statement, so that none of many at once is lost; undefined if there is no such module, and
     * INVALID_REQUEST if it became more than 64 KiB.
     */
    async mergeMetrics(id: string, metrics: JsonRecord): Promise<Module | undefined> {
      const rows = await em.execute<{ bytes: number }[]>(
        `update registry.modules set performance_metrics = performance_metrics || ?::jsonb, row_version = row_version + 1,
           update_time = now()
         where id = ? and delete_time is null returning octet_length(performance_metrics::text) as bytes`,
        [JSON.stringify(metrics), id],
      );
      if (rows[0] === undefined) return undefined;
      if (rows[0].bytes > metricsMaxBytes) {
        throw new AppError('INVALID_REQUEST', `metrics: what is kept has at most ${metricsMaxBytes} bytes`, {
          metadata: { field: 'metrics' },
          fieldViolations: [
            { field: 'metrics', reason: 'TOO_LONG', description: `what is kept has at most ${metricsMaxBytes} bytes` },
          ],
        });
      }
      return get(id);
    },

    /** How many modules that are not deleted have a signature. */
    async countOfSignature(signatureId: string): Promise<number> {
      return em.count(ModuleEntity, { signatureId, deleteTime: null });
    },

    /** Replaces what an executor told of its workers, and forgets executors that were silent for an hour. */
    async putReport({ executor, workers, modules }: BackendReport): Promise<void> {
      await em.execute(
        `insert into registry.backend_reports (executor, workers, modules, report_time) values (?, ?, ?::jsonb, now())
         on conflict (executor) do update
         set workers = excluded.workers, modules = excluded.modules, report_time = excluded.report_time`,
        [executor, workers, JSON.stringify(modules)],
      );
      await em.execute(`delete from registry.backend_reports where report_time < now() - interval '1 hour'`);
    },

    /** Reads what executors told of their workers, with the age of each report by the database's clock. */
    async reports(): Promise<ReportedBackend[]> {
      const rows = await select<{ executor: string; workers: number; modules: unknown; age: number; time: string }>(
        `select executor, workers, modules, report_time as time,
           greatest(extract(epoch from now() - report_time) * 1000, 0)::float8 as age
         from registry.backend_reports order by executor`,
        [],
      );
      return rows.map(({ executor, workers, modules, age, time }) => ({
        executor,
        workers,
        modules,
        ageMs: age,
        reportTime: new Date(time),
      }));
    },

    /** Reads a page of modules, those that only the workers know merged in where they are given. */
    list: (query: ModuleListQuery): Promise<Page<ModuleView>> => listModules(session, query),
  };
}

const initialColumns = {
  state: 'uninitialized' as const,
  inFlight: 0,
  errorMessage: '',
  performanceMetrics: {},
  generation: 1,
  catalogRevision: 0,
  rowVersion: 1,
};
