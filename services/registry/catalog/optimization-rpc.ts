import type { Handlers } from '@signet/kit/grpc/server.ts';
import type { RegistryInternalServiceService, ResolvedProgram } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { resolveOptimizer } from '../optimizer/resolve-optimizer.ts';
import { readType, toWireResolvedOptimizer } from '../optimizer/wire.ts';
import { addOptimizedVersion } from '../program/add-optimized-version.ts';
import { beginOptimize } from '../program/begin-optimize.ts';
import { finishOptimize, renewOptimizations } from '../program/finish-optimize.ts';
import { readPayload } from '../program/payload-wire.ts';
import { payloadKind, toWireProgram } from '../program/wire.ts';
import { changedBy } from '../repeat/handle.ts';
import type { CatalogRpcDeps } from './rpc.ts';

type Methods = 'resolveOptimizer' | 'beginOptimize' | 'renewOptimizations' | 'addOptimizedVersion' | 'finishOptimize';

/** The handlers of the service between our own processes that optimization jobs need. */
export function optimizationHandlers(
  { work }: Pick<CatalogRpcDeps, 'work'>,
  resolve: (program: string, version: number) => Promise<ResolvedProgram>,
): Pick<Handlers<typeof RegistryInternalServiceService>, Methods> {
  const token = (wire: bigint): number => (wire <= Number.MAX_SAFE_INTEGER ? Number(wire) : -1);
  return {
    resolveOptimizer: async ({ optimizer, type, config = {}, program }) => {
      const input = { optimizer, program, config, type: readType(type) };
      return toWireResolvedOptimizer(await work.read((stores) => resolveOptimizer(stores, input)));
    },
    beginOptimize: async (request, ctx) => {
      const by = changedBy('OptimizeProgram', ctx);
      const { program, version } = await work.change((stores) => beginOptimize(stores, request), by);
      return { fencingToken: BigInt(program.fencingToken), program: await resolve(program.id, version) };
    },
    renewOptimizations: async ({ held }) => {
      const ours = held.slice(0, 1000).map((one) => ({ ...one, fencingToken: token(one.fencingToken) }));
      return { lostJobIds: await work.change((stores) => renewOptimizations(stores, ours)) };
    },
    addOptimizedVersion: async ({ programId, fencingToken, baseVersion, stateJson, lineage }, ctx) => {
      const { jobId = '', optimizerId = '', optimizerType = '', config = {}, datasetId = '' } = lineage ?? {};
      const input = {
        ...{ programId, baseVersion, jobId },
        fencingToken: token(fencingToken),
        state: readPayload({ kind: { $case: 'json', value: stateJson } }),
        lineage: { jobId, optimizerId, optimizerType, config, datasetId, datasetVersion: lineage?.datasetVersion ?? 0 },
      };
      const by = changedBy('OptimizeProgram', ctx);
      const made = await work.change((stores) => addOptimizedVersion(stores, input), by);
      return resolve(made.programId, made.version);
    },
    finishOptimize: async (request, ctx) => {
      const input = {
        ...request,
        fencingToken: token(request.fencingToken),
        history: readRecord('history_json', request.historyJson),
        variables: readRecord('variables_json', request.variablesJson),
        optimizerState: readRecord('optimizer_state_json', request.optimizerStateJson),
      };
      const view = await work.change((stores) => finishOptimize(stores, input), changedBy('OptimizeProgram', ctx));
      return toWireProgram(view, payloadKind(ctx));
    },
  };
}

/** A JSON object out of bytes; nothing at all is an empty one. INVALID_REQUEST for what cannot be kept. */
function readRecord(field: string, bytes: Buffer): JsonRecord {
  if (bytes.length === 0) return {};
  const checks = new FieldChecks();
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) checks.add(field, 'must be a JSON object');
  else checks.json(field, value as JsonRecord);
  checks.done();
  return value as JsonRecord;
}
