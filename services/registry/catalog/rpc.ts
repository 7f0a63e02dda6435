import { invalidField } from '@signet/kit/error/app-error.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import type { RegistryInternalServiceService } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { type AuthenticateDeps, authenticateKey } from '../api-key/authenticate-key.ts';
import { beginInitialize, transitionMs } from '../program/begin-initialize.ts';
import type { ProgramDeps } from '../program/create-program.ts';
import { ensureQuickProgram } from '../program/ensure-quick-program.ts';
import { finishInitialize, renewTransition } from '../program/finish-initialize.ts';
import { putPreparation } from '../program/put-preparation.ts';
import { payloadKind, readAdapter, readPreparation, toWirePreparation, toWireProgram } from '../program/wire.ts';
import type { UnitOfWork } from '../repeat/handle.ts';
import { reportModules } from '../signature/report-modules.ts';
import { type WatchDeps, watchCatalog } from './watch-catalog.ts';
import { toWireChange, toWirePrincipal, toWireResolved } from './wire.ts';

/** What the handlers need. */
export type CatalogRpcDeps = AuthenticateDeps &
  WatchDeps & {
    readonly work: UnitOfWork<Omit<ProgramDeps, 'definitions'>>;
    readonly definitions: ProgramDeps['definitions'];
  };

/** The handlers of the service between our own processes. */
export function createCatalogHandlers(deps: CatalogRpcDeps): Handlers<typeof RegistryInternalServiceService> {
  const { work, definitions, catalog } = deps;
  const resolve = async (program: string, version: number) => toWireResolved(await catalog.resolve(program, version));
  const token = (wire: bigint): number => (wire <= Number.MAX_SAFE_INTEGER ? Number(wire) : -1);

  return {
    resolveProgram: async ({ program, version }) => {
      if (version < 0) throw invalidField('version', 'must not be negative');
      return resolve(program, version);
    },
    watchCatalog: async function* (request, ctx) {
      for await (const event of watchCatalog(deps, request, ctx)) yield toWireChange(event);
    },
    beginInitialize: async (request) => {
      const begun = await work.change((stores) => beginInitialize(stores, request));
      const program = await resolve(begun.id, begun.latestVersion);
      return { fencingToken: BigInt(begun.fencingToken), program };
    },
    finishInitialize: async ({ programId, fencingToken, version, preparation }, ctx) => {
      const input = {
        programId,
        version,
        fencingToken: token(fencingToken),
        preparation: readPreparation(preparation),
      };
      const view = await work.change((stores) => finishInitialize(stores, input));
      return toWireProgram(view, payloadKind(ctx));
    },
    renewTransition: async ({ programId, fencingToken }) => {
      const input = { programId, fencingToken: token(fencingToken) };
      await work.change((stores) => renewTransition(stores, input, transitionMs));
      return {};
    },
    putPreparation: async ({ programId, version, preparation }) => {
      const input = { programId, version, preparation: readPreparation(preparation) };
      return toWirePreparation(await work.change((stores) => putPreparation(stores, input)));
    },
    reportModules: async ({ modules }) => {
      await work.change((stores) => reportModules(stores, modules));
      return {};
    },
    ensureQuickProgram: async ({ signatureSpec, signatureModule, adapterType }) => {
      const input = { signatureSpec, signatureModule, adapterType: readAdapter(adapterType, 'mock') };
      const program = await work.change((stores) => ensureQuickProgram({ ...stores, definitions }, input));
      return resolve(program.id, 0);
    },
    authenticateKey: async ({ key }) => toWirePrincipal(await authenticateKey(deps, key)),
  };
}
