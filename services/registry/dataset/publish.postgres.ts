import type { Session } from '../db/database.ts';
import type { Dataset, ImportSource } from './dataset.ts';
import { importLost } from './staging.postgres.ts';

/** What is to become of the rows of an import. */
export type PublishOrder = {
  readonly importId: string;
  /** How many rows were staged. */
  readonly stagedCount: number;
  readonly faultyCount: number;
  /** True: rows win over equal inputs that the dataset has. */
  readonly replaceDuplicates: boolean;
  /** True: of rows with equal inputs the last is kept, else the first. */
  readonly keepsLast: boolean;
  /** True: the new version holds these rows alone. */
  readonly replaceAll: boolean;
  readonly source: ImportSource;
  readonly createdBy: string;
  readonly note: string;
};

/** What became of them. */
export type Published = {
  /** 0 if nothing changed. */
  readonly version: number;
  readonly addedCount: number;
  readonly replacedCount: number;
  readonly duplicateCount: number;
};

/** Where imports become versions. Bound to one transaction, which holds the dataset's row. */
export type PublishStore = ReturnType<typeof createPublishStore>;

/** Makes the store that turns the rows of an import into a version. */
export function createPublishStore({ em }: Session) {
  const count = async (text: string, values: readonly unknown[]): Promise<number> => {
    const [row] = await em.execute<{ total: string }[]>(`with done as (${text}) select count(*) as total from done`, [
      ...values,
    ]);
    return Number(row?.total ?? 0);
  };
  return {
    /** Lets the transaction wait for the dataset, and work, longer than a caller's change may: other imports may be large. */
    async takeTime(): Promise<void> {
      await em.execute(`set local lock_timeout = '60s'`);
      await em.execute(`set local statement_timeout = '10min'`);
    },

    /**
     * Makes the next version of a dataset that the transaction holds out of an import's rows, or changes nothing where they bring
     * nothing. WRITE_CONFLICT if the rows are gone.
     */
    async publish(dataset: Dataset, order: PublishOrder): Promise<Published> {
      const { importId } = order;
      const pair = [importId, dataset.id];
      const version = dataset.latestVersion + 1;
      const held = await count('select 1 from registry.example_imports where id = ? for update', [importId]);
      const staged = await count('select 1 from registry.example_staging where import_id = ?', [importId]);
      if (held === 0 || staged !== order.stagedCount) throw importLost();
      // Nobody else tells the planner in time that a table is large now; it would sort all of it for every page that is read.
      const isLarge = staged > 5000;
      if (isLarge) await em.execute('analyze registry.example_staging');

      const takesPlace = order.replaceDuplicates || order.replaceAll;
      const repeated = await count(dropRepeats(order.keepsLast), [importId, importId]);
      const removedCount = order.replaceAll ? await count(closeOthers, [version, dataset.id, importId]) : 0;
      const matched = takesPlace ? await count(takePlaces(!order.replaceAll), pair) : 0;
      const known = await count(takesPlace ? dropEqual : dropKnown, pair);
      const replacedCount = takesPlace ? matched - known : 0;
      if (replacedCount > 0) await em.execute(closeReplaced, [version, ...pair]);
      const inserted = await count(insertExamples, [dataset.id, dataset.id, version, importId]);
      if (isLarge) await em.execute('analyze registry.examples');
      const addedCount = inserted - replacedCount;
      await em.execute('delete from registry.example_staging where import_id = ?', [importId]);
      await em.execute('delete from registry.example_imports where id = ?', [importId]);
      const counts = { addedCount, replacedCount, duplicateCount: repeated + known };
      if (inserted + removedCount === 0) return { ...counts, version: 0 };
      const { faultyCount, source, createdBy, note } = order;
      await em.execute(insertVersion, [
        ...[version, addedCount, replacedCount, removedCount, counts.duplicateCount, faultyCount],
        ...[source, createdBy, note, dataset.id],
      ]);
      await em.execute(moveDataset, [version, addedCount, dataset.id, version]);
      return { ...counts, version };
    },
  };
}

const current = `e.dataset_id = ? and e.until_version is null`;
const matches = `s.import_id = ? and ${current} and e.key_hash = s.key_hash`;

const dropRepeats = (keepsLast: boolean): string => `
  delete from registry.example_staging where import_id = ? and row_number in (
    select row_number from (
      select row_number, row_number() over (partition by key_hash order by row_number ${keepsLast ? 'desc' : 'asc'}) as nth
      from registry.example_staging where import_id = ?
    ) numbered where nth > 1) returning 1`;

const dropKnown = `delete from registry.example_staging s using registry.examples e where ${matches} returning 1`;

const dropEqual = `
  delete from registry.example_staging s using registry.examples e where ${matches}
    and e.outputs = s.outputs and e.split = s.split and e.weight = s.weight and e.label = s.label
    and e.source_execution_id is not distinct from s.source_execution_id returning 1`;

// An example that is mended stays in its split unless another one is asked for: else what was held out could be taught.
const takePlaces = (keepsSplit: boolean): string => `
  update registry.example_staging s set position = e.position,
    split = case when ${keepsSplit} and not s.split_given then e.split else s.split end
  from registry.examples e where ${matches} returning 1`;

const closeReplaced = `
  update registry.examples e set until_version = ? from registry.example_staging s where ${matches}`;

const closeOthers = `
  update registry.examples e set until_version = ? where ${current} and not exists (
    select 1 from registry.example_staging s where s.import_id = ? and s.key_hash = e.key_hash) returning 1`;

const insertExamples = `
  insert into registry.examples (id, dataset_id, position, since_version, split, key_hash, inputs, outputs, weight, label,
    source_execution_id)
  select s.id, ?::uuid,
    coalesce(s.position, (select last_position from registry.datasets where id = ?)
      + row_number() over (partition by s.position is null order by s.row_number)),
    ?::integer, s.split, s.key_hash, s.inputs, s.outputs, s.weight, s.label, s.source_execution_id
  from registry.example_staging s where s.import_id = ? returning 1`;

const insertVersion = `
  insert into registry.dataset_versions (dataset_id, version, example_count, train_count, validation_count, test_count,
    added_count, replaced_count, removed_count, duplicate_count, faulty_count, source, created_by, note)
  select d.id, ?::integer, count(e.id), count(e.id) filter (where e.split = 'train'),
    count(e.id) filter (where e.split = 'validation'), count(e.id) filter (where e.split = 'test'),
    ?::bigint, ?::bigint, ?::bigint, ?::bigint, ?::bigint, ?, ?, ?
  from registry.datasets d left join registry.examples e on e.dataset_id = d.id and e.until_version is null
  where d.id = ? group by d.id`;

const moveDataset = `
  update registry.datasets d set latest_version = ?, last_position = d.last_position + ?, row_version = d.row_version + 1,
    update_time = now(), example_count = v.example_count, train_count = v.train_count,
    validation_count = v.validation_count, test_count = v.test_count
  from registry.dataset_versions v where d.id = ? and v.dataset_id = d.id and v.version = ?`;
