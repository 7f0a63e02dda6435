import type { Database, Row } from '../db/pool.ts';
import type { ExecutionFault, ExecutionStatus } from '../execution/execution.ts';

/** What items tell of their executions. */
export type ItemExecution = {
  readonly status: ExecutionStatus;
  readonly inputsJson: string;
  readonly outputsJson: string | undefined;
  readonly fault: ExecutionFault | undefined;
  readonly durationMs: number;
};

/** Reads the executions of items. */
export type ItemStore = {
  /** Those of these ids that there are. */
  executions(ids: readonly string[]): Promise<ReadonlyMap<string, ItemExecution>>;
};

/** Makes the store. */
export function createItemStore(database: Database): ItemStore {
  return {
    async executions(ids) {
      if (ids.length === 0) return new Map();
      const rows = await database.query(
        'batch_item_executions',
        `select id::text, status, inputs::text, outputs::text, error, duration_ms from executor.executions where id = any($1::uuid[])`,
        [ids],
      );
      return new Map(rows.map((row) => [row.id as string, executionOf(row)]));
    },
  };
}

function executionOf(row: Row): ItemExecution {
  return {
    status: row.status as ExecutionStatus,
    inputsJson: row.inputs as string,
    outputsJson: (row.outputs as string | null) ?? undefined,
    fault: (row.error as ExecutionFault | null) ?? undefined,
    durationMs: (row.duration_ms as number | null) ?? 0,
  };
}
