import { LockMode } from '@mikro-orm/core';
import { AppError, invariant } from '@signet/kit/error/app-error.ts';
import { isId, newId } from '@signet/kit/id.ts';
import type { Session } from '../db/database.ts';
import type { Page } from '../page.ts';
import type { Signature } from '../signature/signature.ts';
import { listPrograms } from './list.postgres.ts';
import { ProgramEntity } from './program.entity.ts';
import type { Program, ProgramView } from './program.ts';
import { isSlug } from './slug.ts';
import { createVersionStore, type NewVersion } from './versions.postgres.ts';

/** What a new program needs; the store gives it its id and times. */
export type NewProgram = Pick<
  Program,
  'slug' | 'name' | 'description' | 'adapterType' | 'signatureModule' | 'variables' | 'labels'
> & {
  /** Absent for a program that runs a pipeline. */
  readonly signature?: Signature;
  readonly quickKey?: string;
  readonly moduleId?: string;
  readonly optimizerId?: string;
};

/** What can be changed of a program. */
export type ProgramChanges = Partial<
  Omit<Program, 'id' | 'rowVersion' | 'createTime' | 'updateTime'> & {
    transitionUntil: Date | null;
    deleteTime: Date;
  }
>;

/** Where programs are kept. Bound to one session: inside a transaction all of it is one change. */
export type ProgramStore = ReturnType<typeof createProgramStore>;

const nobody = '00000000-0000-0000-0000-000000000000';

/** The channel on which a change of the catalog wakes those who watch it. */
export const catalogChannel = 'signet_registry_catalog';

/** Makes the store of programs on a session. */
export function createProgramStore(session: Session) {
  const { em } = session;
  const versions = createVersionStore(session);
  const fresh = { disableIdentityMap: true } as const;
  // What can be neither is not asked for: such a text may hold what no statement can carry.
  const where = (named: string) => ({
    ...(isId(named) ? { id: named } : isSlug(named) ? { slug: named } : { id: nobody }),
    deleteTime: null,
  });

  // The counter's row is locked from here to the commit, so revisions become visible in their order. Hence last in a change.
  const announce = async (id: string): Promise<void> => {
    await em.execute(
      `with next as (update registry.catalog_revision set revision = revision + 1 returning revision)
       update registry.programs set catalog_revision = next.revision from next where id = ?`,
      [id],
    );
    await em.execute(`select pg_notify('${catalogChannel}', '')`);
  };
  const get = async (id: string): Promise<Program> => {
    const row = await em.findOne(ProgramEntity, { id }, fresh);
    invariant(row !== null, 'a program that was just written is gone');
    return row;
  };
  const find = async (named: string): Promise<Program | undefined> =>
    (await em.findOne(ProgramEntity, where(named), fresh)) ?? undefined;

  const change = async (program: Program, changes: ProgramChanges): Promise<Program> => {
    const { id, status, rowVersion } = program;
    const { slug } = changes;
    if (slug !== undefined && slug !== program.slug && (await find(slug)) !== undefined) throw slugTaken(slug);
    const changed = await em.nativeUpdate(
      ProgramEntity,
      { id, status, rowVersion },
      { ...changes, rowVersion: rowVersion + 1, updateTime: new Date() },
    );
    if (changed !== 1) throw new AppError('WRITE_CONFLICT', 'Another change came first; try again');
    await announce(id);
    return get(id);
  };
  const backToDraft = (program: Program): Promise<Program> =>
    change(program, { status: 'draft', errorMessage: '', dspyProgramId: '', servingVersion: 0 });
  const ofModule = (moduleId: string, more: object): Promise<Program[]> =>
    em.find(
      ProgramEntity,
      { moduleId, deleteTime: null, ...more },
      { ...fresh, orderBy: { id: 'asc' }, lockMode: LockMode.PESSIMISTIC_WRITE },
    );

  return {
    ...versions,

    /** Reads a program that is not deleted, by id or slug. */
    find,

    /** Reads a program that is not deleted, by id or slug, and holds it until the transaction ends. */
    async lock(named: string): Promise<Program | undefined> {
      const found = await em.findOne(ProgramEntity, where(named), { ...fresh, lockMode: LockMode.PESSIMISTIC_WRITE });
      return found ?? undefined;
    },

    /** Reads the program of a quick key. */
    async findQuick(quickKey: string): Promise<Program | undefined> {
      const filter = { quickKey, deleteTime: null, status: { $ne: 'archived' as const } };
      return (await em.findOne(ProgramEntity, filter, fresh)) ?? undefined;
    },

    /** Reads the program that quick executions of a signature on an engine share, and holds it. */
    async lockQuick(quickKey: string): Promise<Program | undefined> {
      const filter = { quickKey, deleteTime: null, status: { $ne: 'archived' as const } };
      const found = await em.findOne(ProgramEntity, filter, { ...fresh, lockMode: LockMode.PESSIMISTIC_WRITE });
      return found ?? undefined;
    },

    /** Makes a program, DRAFT, with its version 1; undefined if its slug, or its quick key, is taken. */
    async create(program: NewProgram, version: NewVersion): Promise<Program | undefined> {
      const { signature, ...columns } = program;
      const id = newId();
      const kind = version.pipeline === undefined ? ('signature' as const) : ('pipeline' as const);
      const row = { ...initialColumns, ...columns, id, kind, signatureId: signature?.id ?? null };
      const insert = em.createQueryBuilder(ProgramEntity).insert(row).onConflict().ignore();
      if ((await insert.execute('run')).affectedRows === 0) return undefined;
      await versions.insertVersion(id, 1, 0, version);
      await announce(id);
      return get(id);
    },

    /** The next free slug of a base: itself, or with `-2`, `-3` … Callers of one base wait for each other until they commit. */
    async nextSlug(base: string): Promise<string> {
      await em.execute(`select pg_advisory_xact_lock(hashtextextended('registry.slug:' || ?, 0))`, [base]);
      const [row] = await em.execute<{ taken: boolean; highest: number | null }[]>(
        `select bool_or(slug = ?) as taken, max(nullif(substring(slug from char_length(?) + 2), '')::numeric)::int as highest
         from registry.programs where delete_time is null and (slug = ? or slug ~ ?)`,
        [base, base, base, `^${base}-[0-9]{1,8}$`],
      );
      if (row?.taken !== true) return base;
      return `${base}-${Math.max(1, row.highest ?? 1) + 1}`;
    },

    /** Changes a program that still is in the state and version it was read in; NAME_TAKEN for a slug that is taken. */
    change,

    /** Takes a program in ERROR back to where it may be prepared anew. */
    backToDraft,

    /** Takes the programs behind a module that are in ERROR back to where they may be prepared anew. */
    async resetOfModule(moduleId: string): Promise<void> {
      for (const program of await ofModule(moduleId, { status: 'error' as const })) await backToDraft(program);
    },

    /** Takes the programs behind a module out of use that were made for a former state of it. */
    async archiveOfModule(moduleId: string, adapterType: Program['adapterType']): Promise<void> {
      const former = await ofModule(moduleId, { adapterType, status: { $ne: 'archived' as const } });
      for (const program of former) {
        await change(program, { status: 'archived', fencingToken: program.fencingToken + 1, transitionUntil: null });
      }
    },

    /** Adds a version after the newest one; it is for `change` to make it the program's `latestVersion`. */
    async addVersion(program: Program, version: NewVersion, parent = program.latestVersion): Promise<number> {
      const next = program.latestVersion + 1;
      await versions.insertVersion(program.id, next, parent, version);
      return next;
    },

    /** Reads and holds up to 100 programs whose transition was not renewed in time; those that others hold are left out. */
    async lockExpired(): Promise<Program[]> {
      const rows = await em.execute<{ id: string }[]>(
        `select id from registry.programs
         where status in ('initializing', 'optimizing') and transition_until < now() and delete_time is null
         order by id limit 100 for update skip locked`,
      );
      return em.find(ProgramEntity, { id: { $in: rows.map(({ id }) => id) } }, { ...fresh, orderBy: { id: 'asc' } });
    },

    /** Gives the optimizations of jobs that still hold their program `holdMs` from now on; names the jobs that do. */
    async renewJobs(
      held: readonly { readonly programId: string; readonly fencingToken: number; readonly jobId: string }[],
      holdMs: number,
    ): Promise<ReadonlySet<string>> {
      // In one order, so that two renewals cannot lock each other.
      const rows = await em.execute<{ job: string }[]>(
        `with held as (
           select p.id from registry.programs p join jsonb_to_recordset(?::jsonb) as h("programId" uuid, "fencingToken" bigint, "jobId" uuid)
             on h."programId" = p.id and h."fencingToken" = p.fencing_token and h."jobId" = p.optimizing_job
           where p.status = 'optimizing' and p.delete_time is null order by p.id for update of p)
         update registry.programs p set transition_until = now() + ? * interval '1 millisecond' from held where p.id = held.id
         returning p.optimizing_job::text as job`,
        [JSON.stringify(held), holdMs],
      );
      return new Set(rows.map(({ job }) => job));
    },

    /** Gives a transition `holdMs` from now on, by the database's clock. */
    async renew(id: string, holdMs: number): Promise<void> {
      await em.execute(
        `update registry.programs set transition_until = now() + ? * interval '1 millisecond' where id = ?`,
        [holdMs, id],
      );
    },

    /** Reads a page of programs with their newest configurations. */
    list: (query: Parameters<typeof listPrograms>[1]): Promise<Page<ProgramView>> => listPrograms(session, query),
  };
}

const initialColumns = {
  status: 'draft' as const,
  optimizationHistory: [],
  dspyProgramId: '',
  errorMessage: '',
  servingPolicy: {},
  servingVersion: 0,
  latestVersion: 1,
  fencingToken: 0,
  catalogRevision: 0,
  rowVersion: 1,
};

/** The error for a slug that another program has. */
export function slugTaken(slug: string): AppError {
  return new AppError('NAME_TAKEN', `The slug \`${slug}\` is taken`, {
    metadata: { resource: slug, field: 'slug' },
    fieldViolations: [{ field: 'slug', reason: 'NAME_TAKEN', description: 'is taken by another program' }],
  });
}
