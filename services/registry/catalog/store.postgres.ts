import { isId } from '@signet/kit/id.ts';
import type { Database } from '../db/database.ts';
import { engineModule, isWhole } from '../program/predictor-states.ts';
import { type Preparation, programNotFound, unprepared, versionNotFound } from '../program/program.ts';
import { isSlug } from '../program/slug.ts';
import { fromSnapshot, type StoredSignature } from '../signature/signature.ts';
import type { ResolvedProgram } from './catalog.ts';
import { type SettingsRow, settingsColumns, toSettings } from './modules.postgres.ts';

/** The catalog as executors read it: each read is one prepared statement. */
export type CatalogStore = ReturnType<typeof createCatalogStore>;

const selection = `
  select p.id, p.slug, p.name, p.status, p.error_message, p.adapter_type, p.serving_version, p.catalog_revision,
    p.delete_time is not null as deleted, p.serving_policy,
    exists (select from registry.program_servings s where s.program_id = p.id and s.version = v.version) as has_served, v.version, v.signature, v.configuration, v.demos, v.dspy_state, v.pipeline,
    r.state, r.dspy_program_id, r.error_message as preparation_error, r.dialect, r.plan_json, r.native_fault, r.create_time as preparation_time,
    ${settingsColumns}
  from registry.programs p
  left join registry.program_versions v on v.program_id = p.id and v.version =`;
const servedVersion = 'case when p.serving_version > 0 then p.serving_version else p.latest_version end';
const preparation = `
  left join lateral (
    select state, dspy_program_id, error_message, dialect, plan_json, native_fault, create_time from registry.program_preparations
    where version_id = v.id order by state = 'ready' desc, create_time desc, id desc limit 1
  ) r on true
  left join registry.modules m on m.id = coalesce(p.module_id, (v.configuration -> 'registered' ->> 'id')::uuid)`;
const askedVersion = `case when $2::int > 0 then $2::int else ${servedVersion} end`;
const byId = `${selection} ${askedVersion} ${preparation} where p.id = $1::uuid`;
const bySlug = `${selection} ${askedVersion} ${preparation} where p.slug = $1 and p.delete_time is null`;
const changes = `${selection} ${servedVersion} ${preparation}
  where p.catalog_revision > $1::bigint and p.catalog_revision <= $2::bigint order by p.catalog_revision limit $3::int`;

type Row = SettingsRow & {
  id: string;
  slug: string;
  name: string;
  status: ResolvedProgram['status'];
  error_message: string;
  adapter_type: ResolvedProgram['adapterType'];
  serving_version: number;
  catalog_revision: string;
  deleted: boolean;
  serving_policy: ResolvedProgram['servingPolicy'];
  has_served: boolean;
  version: number | null;
  signature: StoredSignature;
  configuration: ResolvedProgram['configuration'];
  demos: string[];
  dspy_state: string;
  pipeline: string;
  state: 'ready' | 'error' | null;
  dspy_program_id: string;
  preparation_error: string;
  dialect: Record<string, string>;
  plan_json: string;
  native_fault: string;
  preparation_time: string;
};

/** Makes the catalog's reads over the database. */
export function createCatalogStore(database: Pick<Database, 'read'>) {
  return {
    /**
     * Reads a program by id, archived and deleted ones included, or by the slug of one that is not deleted. Version 0 is the serving
     * one, or the newest if none serves. PROGRAM_NOT_FOUND and VERSION_NOT_FOUND.
     */
    async resolve(named: string, version: number): Promise<ResolvedProgram> {
      if (!isId(named) && !isSlug(named)) throw programNotFound(named);
      const [row] = isId(named)
        ? await database.read<Row>('resolve-by-id', byId, [named, version])
        : await database.read<Row>('resolve-by-slug', bySlug, [named, version]);
      if (row === undefined) throw programNotFound(named);
      if (row.version === null) throw versionNotFound(named, version);
      return toResolved(row, row.version);
    },

    /** Reads what changed after one revision up to another, in the order of the commits, at most `limit` programs as they are now. */
    async programChanges(after: bigint, upTo: bigint, limit: number): Promise<ResolvedProgram[]> {
      const rows = await database.read<Row>('catalog-changes', changes, [String(after), String(upTo), limit]);
      return rows.flatMap((row) => (row.version === null ? [] : [toResolved(row, row.version)]));
    },

    /** Reads the revision of the newest change. */
    async revision(): Promise<bigint> {
      const [row] = await database.read<{ revision: string }>(
        'catalog-revision',
        'select revision from registry.catalog_revision',
        [],
      );
      return BigInt(row?.revision ?? 0);
    },
  };
}

function toResolved(row: Row, version: number): ResolvedProgram {
  return {
    programId: row.id,
    slug: row.slug,
    name: row.name,
    status: row.status,
    errorMessage: row.error_message,
    adapterType: row.adapter_type,
    version,
    servingVersion: row.serving_version,
    signature: fromSnapshot(row.signature),
    configuration: row.configuration,
    demos: row.demos,
    dspyState: isWhole(engineModule(row.configuration)) ? row.dspy_state : '',
    preparation: toPreparation(row),
    servingPolicy: row.serving_policy,
    hasServed: row.has_served,
    deleted: row.deleted,
    revision: Number(row.catalog_revision),
    moduleSettings: toSettings(row),
    pipeline: row.pipeline,
  };
}

function toPreparation(row: Row): Preparation {
  if (row.state === null) return unprepared;
  return {
    state: row.state,
    dspyProgramId: row.dspy_program_id,
    errorMessage: row.preparation_error,
    dialect: row.dialect,
    planJson: row.plan_json,
    nativeFault: row.native_fault,
    createTime: new Date(row.preparation_time),
  };
}
