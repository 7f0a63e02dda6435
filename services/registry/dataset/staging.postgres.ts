import { AppError } from '@signet/kit/error/app-error.ts';
import type { Session } from '../db/database.ts';
import type { Split } from './dataset.ts';

/** A row of an import that was checked. */
export type StagedRow = {
  /** Its place in the import, from 1. */
  readonly rowNumber: number;
  readonly id: string;
  readonly split: Split;
  /** True if somebody named the split, false if it was chosen. */
  readonly isSplitGiven: boolean;
  /** SHA-256 of the canonical inputs. */
  readonly keyHash: Buffer;
  readonly inputs: string;
  readonly outputs: string;
  readonly weight: number;
  readonly label: string;
  readonly sourceExecutionId: string | null;
};

/** Where the rows of imports gather. Bound to one session that need not be a transaction. */
export type StagingStore = ReturnType<typeof createStagingStore>;

const insertRows = `
  insert into registry.example_staging
    (import_id, row_number, id, split, split_given, key_hash, inputs, outputs, weight, label, source_execution_id)
  select $1::uuid, * from unnest($2::bigint[], $3::uuid[], $4::text[], $5::boolean[], $6::bytea[], $7::text[],
    $8::text[], $9::double precision[], $10::text[], $11::uuid[])`;

/** Makes the store of rows that no version has yet. */
export function createStagingStore({ select }: Session) {
  const forget = async (importIds: readonly string[]): Promise<void> => {
    await select('delete from registry.example_staging where import_id = any($1::uuid[])', [importIds]);
    await select('delete from registry.example_imports where id = any($1::uuid[])', [importIds]);
  };
  return {
    /** Begins an import. */
    async begin(importId: string, datasetId: string): Promise<void> {
      await select('insert into registry.example_imports (id, dataset_id) values ($1, $2)', [importId, datasetId]);
    },

    /** Adds rows to an import; WRITE_CONFLICT if it was given up in the meantime. */
    async add(importId: string, rows: readonly StagedRow[]): Promise<void> {
      const touched = await select(
        'update registry.example_imports set touch_time = now() where id = $1 returning 1 as one',
        [importId],
      );
      if (touched.length === 0) throw importLost();
      await select(insertRows, [
        importId,
        rows.map(({ rowNumber }) => rowNumber),
        rows.map(({ id }) => id),
        rows.map(({ split }) => split),
        rows.map(({ isSplitGiven }) => isSplitGiven),
        rows.map(({ keyHash }) => keyHash),
        rows.map(({ inputs }) => inputs),
        rows.map(({ outputs }) => outputs),
        rows.map(({ weight }) => weight),
        rows.map(({ label }) => label),
        rows.map(({ sourceExecutionId }) => sourceExecutionId),
      ]);
    },

    /** Forgets the rows of an import. */
    forget: (importId: string): Promise<void> => forget([importId]),

    /** Forgets imports to which nothing was added for `idleMs`; what their processes left when they died. */
    async sweep(idleMs: number): Promise<void> {
      const old = await select<{ id: string }>(
        `select id from registry.example_imports where touch_time < now() - $1 * interval '1 millisecond'
         union select distinct import_id from registry.example_staging s
           where not exists (select 1 from registry.example_imports i where i.id = s.import_id)`,
        [idleMs],
      );
      if (old.length > 0) await forget(old.map(({ id }) => id));
    },
  };
}

/** The error for an import whose rows are gone. */
export function importLost(): AppError {
  return new AppError(
    'WRITE_CONFLICT',
    'The import was given up, as nothing came or the database began anew; send it again',
  );
}
