import { isId } from '@signet/kit/id.ts';
import type { Database } from '../db/database.ts';
import { isModuleLabel, moduleNotFound } from '../module/module.ts';
import type { ModuleSettings, ResolvedModule } from './catalog.ts';

/** Modules as executors read them. */
export type ModuleReads = ReturnType<typeof createModuleReads>;

/** What a row says about how programs of a module are run; all null where no module was joined. */
export type SettingsRow = {
  module_id: string | null;
  module_name: string;
  implementation: ModuleSettings['implementation'];
  routing_strategy: ModuleSettings['routingStrategy'];
  cache_ttl: number;
};

type ModuleRow = SettingsRow & {
  state: ResolvedModule['state'];
  error_message: string;
  deleted: boolean;
  executable: boolean;
  generation: number;
  catalog_revision: string;
  kind: string;
};

/** The columns of a `SettingsRow`, out of a table `m`. */
export const settingsColumns =
  'm.id as module_id, m.name as module_name, m.implementation, m.routing_strategy, m.cache_ttl';
const selection = `select ${settingsColumns}, m.state, m.error_message, m.delete_time is not null as deleted,
  m.signature_id is not null as executable, m.generation, m.catalog_revision, m.configuration ->> 'module' as kind
  from registry.modules m`;
const byId = `${selection} where m.id = $1::uuid`;
const byName = `${selection} where m.name = $1 and m.delete_time is null`;
const changes = `${selection} where m.catalog_revision > $1::bigint and m.catalog_revision <= $2::bigint
  order by m.catalog_revision limit $3::int`;

/** Makes the reads of modules over the database; each is one prepared statement. */
export function createModuleReads(database: Pick<Database, 'read'>) {
  return {
    /** Reads a module by id, deleted ones included, or by the name of one that is not deleted. MODULE_NOT_FOUND. */
    async resolve(named: string): Promise<ResolvedModule> {
      if (!isId(named) && !isModuleLabel(named)) throw moduleNotFound(named);
      const [row] = isId(named)
        ? await database.read<ModuleRow>('module-by-id', byId, [named])
        : await database.read<ModuleRow>('module-by-name', byName, [named]);
      if (row === undefined) throw moduleNotFound(named);
      return toResolvedModule(row);
    },

    /** Reads what changed after one revision up to another, in the order of the commits, at most `limit` modules as they are now. */
    async changesBetween(after: bigint, upTo: bigint, limit: number): Promise<ResolvedModule[]> {
      const rows = await database.read<ModuleRow>('module-changes', changes, [String(after), String(upTo), limit]);
      return rows.map(toResolvedModule);
    },

    /** Reads how many programs a signature has, those behind modules not counted, and the ids of all that ever were made with it. */
    async signaturePrograms(signatureId: string): Promise<{ readonly count: number; readonly ids: string[] }> {
      const rows = await database.read<{ id: string; counts: boolean }>(
        'signature-programs',
        `select id, delete_time is null and module_id is null as counts from registry.programs where signature_id = $1::uuid`,
        [signatureId],
      );
      return { count: rows.filter(({ counts }) => counts).length, ids: rows.map(({ id }) => id) };
    },
  };
}

/** Reads what a row says about how programs of a module are run. */
export function toSettings(row: SettingsRow): ModuleSettings | undefined {
  if (row.module_id === null) return undefined;
  return {
    id: row.module_id,
    name: row.module_name,
    implementation: row.implementation,
    routingStrategy: row.routing_strategy,
    cacheTtlS: row.cache_ttl,
  };
}

function toResolvedModule(row: ModuleRow): ResolvedModule {
  return {
    settings: toSettings(row)!,
    state: row.state,
    errorMessage: row.error_message,
    deleted: row.deleted,
    executable: row.executable,
    generation: row.generation,
    revision: Number(row.catalog_revision),
    pythonClass: row.kind.startsWith('python:') ? row.kind.slice('python:'.length) : '',
  };
}
