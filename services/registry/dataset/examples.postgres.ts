import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder, type SqlBinder } from '@signet/kit/filter/sql-binder.ts';
import type { Session } from '../db/database.ts';
import { type Example, type Split, splits } from './dataset.ts';

/** Which examples of a version are read. */
export type ExampleQuery = {
  readonly datasetId: string;
  readonly version: number;
  /** None means all. */
  readonly splits: readonly Split[];
  /** Only those behind this position. */
  readonly afterPosition: number;
  readonly limit: number;
  /** As callers write it; empty means all. */
  readonly filter?: string;
};

/** Where the examples of versions are read. */
export type ExampleStore = ReturnType<typeof createExampleStore>;

const filterFields: FilterFields = {
  id: { column: 'e.id', type: 'uuid' },
  position: { column: 'e.position', type: 'int' },
  split: { column: 'e.split', type: 'enum', values: enumValues('SPLIT_', splits) },
  weight: { column: 'e.weight', type: 'float' },
  label: { column: 'e.label', type: 'text' },
  source_execution_id: { column: 'e.source_execution_id', type: 'uuid' },
  since_version: { column: 'e.since_version', type: 'int' },
};

// Well under what a message may have, as rows take more room on the wire.
const readBytesMax = 2 * 1024 * 1024;

type Row = Omit<Example, 'position'> & { readonly position: string };

/** Makes the store of examples on a session. */
export function createExampleStore({ select }: Session) {
  return {
    /**
     * Reads examples by position: at most `limit` and 2 MiB of them, though the first one in any case. Whoever gets fewer than the limit
     * asks again behind the last one. FILTER_SYNTAX for a filter that cannot be read.
     */
    async read(query: ExampleQuery): Promise<Example[]> {
      const binder = createBinder();
      const conditions = conditionsOf(query, binder);
      const rows = await select<Row>(
        `select id, position, since_version as "sinceVersion", split, inputs, outputs, weight, label,
           source_execution_id as "sourceExecutionId"
         from (
           select page.*, sum(octet_length(inputs) + octet_length(outputs)) over (
             order by position rows between unbounded preceding and 1 preceding) as bytes_before
           from (
             select e.* from registry.examples e where ${conditions.join(' and ')} order by e.position limit ${query.limit}
           ) page
         ) measured where coalesce(bytes_before, 0) < ${readBytesMax} order by position`,
        binder.values,
      );
      return rows.map((row) => ({ ...row, position: Number(row.position) }));
    },
  };
}

function conditionsOf(query: ExampleQuery, binder: SqlBinder): string[] {
  const version = `${binder.bind(String(query.version))}::integer`;
  const conditions = [
    `e.dataset_id = ${binder.bind(query.datasetId)}::uuid`,
    `e.since_version <= ${version}`,
    `(e.until_version is null or e.until_version > ${version})`,
  ];
  if (query.afterPosition > 0) conditions.push(`e.position > ${binder.bind(String(query.afterPosition))}::bigint`);
  if (query.splits.length > 0) {
    conditions.push(`e.split in (${query.splits.map((split) => binder.bind(split)).join(', ')})`);
  }
  const filter = parseFilter(query.filter ?? '');
  if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
  return conditions;
}
