import { compileFilter, enumValues, type FilterFields } from '@signet/kit/filter/compile-filter.ts';
import { keysetSql, orderKeysSql, orderSql, parseOrderBy } from '@signet/kit/filter/order-by.ts';
import { parseFilter } from '@signet/kit/filter/parse-filter.ts';
import { createBinder } from '@signet/kit/filter/sql-binder.ts';
import { decodePageToken } from '@signet/kit/page-token.ts';
import type { Session } from '../db/database.ts';
import { type PageRow, pageRows, shortened, toPage } from '../db/page.ts';
import type { ListQuery, Page } from '../page.ts';
import { ProgramEntity } from './program.entity.ts';
import {
  adapterTypes,
  type Configuration,
  type ProgramStatus,
  type ProgramView,
  programKinds,
  programStatuses,
} from './program.ts';

/** Asks for a page of programs. */
export type ProgramListQuery = ListQuery & {
  readonly status: ProgramStatus | undefined;
  readonly includeArchived: boolean;
};

const filterFields: FilterFields = {
  id: { column: 'p.id', type: 'uuid' },
  slug: { column: 'p.slug', type: 'text' },
  name: { column: 'p.name', type: 'text' },
  status: {
    column: 'p.status',
    type: 'enum',
    values: enumValues('PROGRAM_STATUS_', programStatuses, { active: 'ready' }),
  },
  kind: { column: 'p.kind', type: 'enum', values: enumValues('PROGRAM_KIND_', programKinds) },
  adapter_type: {
    column: 'p.adapter_type',
    type: 'enum',
    values: enumValues('ADAPTER_TYPE_', adapterTypes, { python: 'python_port' }),
  },
  signature_id: { column: 'p.signature_id', type: 'uuid' },
  create_time: { column: 'p.create_time', type: 'timestamp' },
  update_time: { column: 'p.update_time', type: 'timestamp' },
  inserted_at: { column: 'p.create_time', type: 'timestamp' },
  updated_at: { column: 'p.update_time', type: 'timestamp' },
  labels: { column: 'p.labels', type: 'labels' },
};

const orderFields = {
  create_time: { column: 'p.create_time', cast: 'timestamptz' },
  update_time: { column: 'p.update_time', cast: 'timestamptz' },
  inserted_at: { column: 'p.create_time', cast: 'timestamptz' },
  updated_at: { column: 'p.update_time', cast: 'timestamptz' },
  name: { column: 'p.name', cast: 'text' },
  slug: { column: 'p.slug', cast: 'text' },
};

/**
 * Reads a page of programs that are not deleted, each with its newest configuration. FILTER_SYNTAX, INVALID_REQUEST and
 * PAGE_TOKEN_INVALID for what cannot be read.
 */
export async function listPrograms({ em, select }: Session, query: ProgramListQuery): Promise<Page<ProgramView>> {
  const tieBreaker = { name: 'id', column: 'p.id', cast: 'uuid' };
  const order = parseOrderBy(query.orderBy, orderFields, 'create_time desc', tieBreaker);
  const { filter: text, orderBy, name, status, includeArchived } = query;
  const bound = ['programs', text, orderBy, name, status ?? '', String(includeArchived)];
  const after = decodePageToken(query.pageToken, bound, order.length);
  const binder = createBinder();
  // What stands behind a module is seen through the module.
  const conditions = ['p.delete_time is null', 'p.module_id is null'];
  if (!includeArchived) conditions.push("p.status <> 'archived'");
  const filter = parseFilter(text);
  if (filter !== undefined) conditions.push(compileFilter(filter, filterFields, binder));
  if (name !== '') conditions.push(`p.name = ${binder.bind(name)}`);
  if (status !== undefined) conditions.push(`p.status = ${binder.bind(status)}`);
  if (after !== undefined) conditions.push(keysetSql(order, after, binder));
  const rows = await pageRows(
    select<PageRow>(
      shortened(`select p.*, v.configuration as newest_configuration, v.demos as newest_demos, v.pipeline_spec,
         (select coalesce(jsonb_agg(m.module_id order by m.position), '[]') from registry.program_modules m
          where m.program_id = v.program_id and m.version = v.version) as module_ids, ${orderKeysSql(order)}
       from registry.programs p
       join registry.program_versions v on v.program_id = p.id and v.version = p.latest_version
       where ${conditions.join(' and ')} order by ${orderSql(order)} limit ${query.pageSize + 1}`),
      binder.values,
    ),
  );
  return toPage(rows, query.pageSize, bound, order.length, (row) => {
    const { newest_configuration: configuration, newest_demos: demos, pipeline_spec, module_ids, ...columns } = row;
    return {
      program: em.map(ProgramEntity, columns as never),
      configuration: configuration as Configuration,
      demos: demos as string[],
      pipelineSpec: pipeline_spec as string,
      modules: module_ids as string[],
    };
  });
}
