import { createHash } from 'node:crypto';
import { invariant } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import { decodePageToken, encodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { shortPage, wholeNumber } from '../db/page.ts';
import type { Page } from '../page.ts';
import { fromSnapshot, type Signature, toSnapshot } from '../signature/signature.ts';
import { ProgramPreparationEntity, ProgramVersionEntity } from './program.entity.ts';
import {
  type Configuration,
  type Lineage,
  type Preparation,
  type Program,
  type ProgramVersion,
  type ProgramView,
  unprepared,
  type VersionSource,
} from './program.ts';

/** What a new version holds. */
export type NewVersion = {
  readonly signature: Signature;
  readonly configuration: Configuration;
  readonly demos: readonly string[];
  readonly source: VersionSource;
  /** What DSPy had saved, as JSON text, where it was made of that. */
  readonly dspyState?: string;
  /** Which optimization made it. */
  readonly lineage?: Lineage;
  /** What it runs, if that is a pipeline. */
  readonly pipeline?: NewPipeline;
};

/** A pipeline that was checked. */
export type NewPipeline = {
  /** As it was given, JSON text. */
  readonly spec: string;
  /** With all that was left out, JSON text. */
  readonly json: string;
  /** Ids of the modules that it is made of, each once. */
  readonly modules: readonly string[];
};

/** Makes the store of versions and their preparations on a session. */
export function createVersionStore({ em }: Session) {
  const fresh = { disableIdentityMap: true } as const;
  const preparations = async (versionIds: readonly string[]): Promise<Map<string, Preparation>> => {
    const rows = await em.find(
      ProgramPreparationEntity,
      { versionId: { $in: [...versionIds] } },
      { ...fresh, orderBy: { createTime: 'asc', id: 'asc' } },
    );
    const newest = new Map<string, Preparation>();
    for (const row of rows) {
      // Whatever one dialect came to, a version that is ready under another can be served.
      if (row.state === 'error' && newest.get(row.versionId)?.state === 'ready') continue;
      newest.set(row.versionId, row);
    }
    return newest;
  };
  const modulesOf = async (rows: readonly PipelineRow[]): Promise<ReadonlyMap<number, string[]>> => {
    const modules = new Map<number, string[]>();
    const pipelines = rows.filter(({ pipelineSpec }) => pipelineSpec !== '');
    const [first] = pipelines;
    if (first === undefined) return modules;
    const found = await em.execute<{ version: number; module_id: string }[]>(
      `select version, module_id from registry.program_modules
       where program_id = ? and version in (?) order by version, position`,
      [first.programId, pipelines.map(({ version }) => version)],
    );
    for (const { version, module_id } of found) modules.set(version, [...(modules.get(version) ?? []), module_id]);
    return modules;
  };
  // All of them are of one program.
  const versionsOf = async (rows: readonly VersionRow[]): Promise<ProgramVersion[]> => {
    const prepared = await preparations(rows.map(({ id }) => id));
    const modules = await modulesOf(rows);
    return rows.map((row) => ({
      ...row,
      modules: modules.get(row.version) ?? [],
      signature: fromSnapshot(row.signature),
      preparation: prepared.get(row.id) ?? unprepared,
    }));
  };

  return {
    /** Stores a version; for the store of programs alone, which keeps the numbers. */
    async insertVersion(programId: string, version: number, parent: number, given: NewVersion): Promise<void> {
      const { configuration, source } = given;
      await em.insert(ProgramVersionEntity, {
        id: newId(),
        programId,
        version,
        signature: toSnapshot(given.signature),
        configuration,
        demos: [...given.demos],
        parentVersion: parent,
        source,
        dspyState: given.dspyState ?? '',
        pipelineSpec: given.pipeline?.spec ?? '',
        pipeline: given.pipeline?.json ?? '',
        ...(given.lineage === undefined ? {} : { lineage: given.lineage, optimizingJob: given.lineage.jobId }),
      });
      for (const [position, moduleId] of (given.pipeline?.modules ?? []).entries()) {
        await em.execute(
          'insert into registry.program_modules (program_id, version, position, module_id) values (?, ?, ?, ?)',
          [programId, version, position, moduleId],
        );
      }
    },

    /** Adds the newest configuration to a program. */
    async view(program: Program): Promise<ProgramView> {
      const { id: programId, latestVersion: version } = program;
      const row = await em.findOne(ProgramVersionEntity, { programId, version }, fresh);
      invariant(row !== null, 'a program without its newest version');
      const modules = (await modulesOf([row])).get(version) ?? [];
      return { program, configuration: row.configuration, demos: row.demos, pipelineSpec: row.pipelineSpec, modules };
    },

    /** Reads one version. */
    async version(programId: string, version: number): Promise<ProgramVersion | undefined> {
      const row = await em.findOne(ProgramVersionEntity, { programId, version }, fresh);
      return row === null ? undefined : (await versionsOf([row]))[0];
    },

    /** Reads the version that a job made. */
    async versionOfJob(programId: string, optimizingJob: string): Promise<ProgramVersion | undefined> {
      const row = await em.findOne(ProgramVersionEntity, { programId, optimizingJob }, fresh);
      return row === null ? undefined : (await versionsOf([row]))[0];
    },

    /** Keeps what a version that an optimizer made scores, and what the one before scored; the first scores stay. */
    async putScores(versionId: string, scoreBefore: number | undefined, scoreAfter: number | undefined): Promise<void> {
      const unscored = { id: versionId, scoreBefore: null, scoreAfter: null };
      const scores = { scoreBefore: scoreBefore ?? null, scoreAfter: scoreAfter ?? null };
      await em.nativeUpdate(ProgramVersionEntity, unscored, scores);
    },

    /** Reads a page of a program's versions, newest first. */
    async versions(programId: string, pageSize: number, pageToken: string): Promise<Page<ProgramVersion>> {
      const bound = ['program versions', programId];
      const before = decodePageToken(pageToken, bound, 1)?.[0];
      const rows = await em.find(
        ProgramVersionEntity,
        { programId, ...(before === undefined ? {} : { version: { $lt: wholeNumber(before) } }) },
        { ...fresh, orderBy: { version: 'desc' }, limit: pageSize + 1 },
      );
      const items = await versionsOf(shortPage(rows.slice(0, pageSize)));
      const last = rows.length > items.length ? items.at(-1) : undefined;
      return { items, nextPageToken: last === undefined ? '' : encodePageToken(bound, [String(last.version)]) };
    },

    /**
     * Stores what an engine made of a version under one dialect. The first answer stays, but for an error that a later success
     * replaces. Gives back what is stored then. The program's watchers learn of it with its next `change`.
     */
    async putPreparation(versionId: string, given: Preparation): Promise<Preparation> {
      const { dialect, dspyProgramId, errorMessage, planJson, nativeFault } = given;
      const state = given.state === 'ready' ? ('ready' as const) : ('error' as const);
      const dialectHash = hashDialect(dialect);
      const key = { versionId, dialectHash };
      const row = { id: newId(), ...key, dialect, state, dspyProgramId, errorMessage, planJson, nativeFault };
      await em.createQueryBuilder(ProgramPreparationEntity).insert(row).onConflict().ignore().execute('run');
      if (state === 'ready') {
        const success = { state, dspyProgramId, errorMessage: '', planJson, nativeFault, createTime: new Date() };
        await em.nativeUpdate(ProgramPreparationEntity, { ...key, state: 'error' }, success);
        // Versions that were prepared before there were plans get theirs.
        await em.nativeUpdate(
          ProgramPreparationEntity,
          { ...key, planJson: '', nativeFault: '' },
          { planJson, nativeFault },
        );
        // A dialect that comes back, after an upgrade that was taken back, is the one that serves again.
        const ready = { versionId, state: 'ready' } as const;
        const last = await em.findOne(ProgramPreparationEntity, ready, {
          ...fresh,
          orderBy: { createTime: 'desc', id: 'desc' },
        });
        if (last?.dialectHash !== dialectHash) {
          await em.nativeUpdate(ProgramPreparationEntity, key, { createTime: new Date() });
        }
      }
      const stored = await em.findOne(ProgramPreparationEntity, key, fresh);
      invariant(stored !== null, 'a preparation that was just written is gone');
      return stored;
    },
  };
}

type PipelineRow = Pick<ProgramVersion, 'programId' | 'version' | 'pipelineSpec'>;

type VersionRow = Omit<ProgramVersion, 'signature' | 'preparation' | 'modules'> & {
  readonly signature: ReturnType<typeof toSnapshot>;
};

function hashDialect(dialect: Readonly<Record<string, string>>): string {
  const entries = Object.entries(dialect).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex');
}
