import { invariant } from '@signet/kit/error/app-error.ts';
import type { QueryRequest, QueryResponse } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import type { SupervisorCallContext } from './supervisor-client.ts';

/** A module that the sidecar's allow-list knows. */
export type HeldModule = {
  readonly name: string;
  /** True if a worker is ready to run it. */
  readonly held: boolean;
};

/** Answers questions for rows. */
export type QueryDoor = { query(request: QueryRequest, ctx: SupervisorCallContext): Promise<QueryResponse> };

const rowsMax = 1_000;

/** Reads the modules that the sidecar holds, by name. What it fails with comes through as it is; a row that is no module is an error. */
export async function queryModules(door: QueryDoor, ctx: SupervisorCallContext): Promise<HeldModule[]> {
  const request: QueryRequest = {
    resource: 'modules',
    action: 'read',
    filters: [],
    sorts: [{ field: 'name', descending: false }],
    limit: rowsMax,
    offset: 0,
    argumentsJson: Buffer.alloc(0),
  };
  const { rowsJson } = await door.query(request, ctx);
  return rowsJson.map(readModule);
}

/** Reads one row: keys that we do not know are dropped, one that is no module throws. */
export function readModule(rowJson: Buffer): HeldModule {
  const row: unknown = JSON.parse(rowJson.toString('utf8'));
  invariant(typeof row === 'object' && row !== null, 'the sidecar answered a row that is no object');
  const { name, held } = row as Partial<Record<keyof HeldModule, unknown>>;
  invariant(
    typeof name === 'string' && name !== '' && typeof held === 'boolean',
    'the sidecar answered a row that is no module',
  );
  return { name, held };
}
