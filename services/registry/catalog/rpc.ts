import { invalidField } from '@signet/kit/error/app-error.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import type { RegistryInternalServiceService } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { type AuthenticateDeps, authenticateKey } from '../api-key/authenticate-key.ts';
import { ensureModuleProgram } from '../module/ensure-module-program.ts';
import { reportBackend } from '../module/report-backend.ts';
import { readBackendModule } from '../module/wire.ts';
import { beginInitialize, transitionMs } from '../program/begin-initialize.ts';
import type { ProgramDeps } from '../program/create-program.ts';
import { ensureQuickProgram } from '../program/ensure-quick-program.ts';
import { finishInitialize, renewTransition } from '../program/finish-initialize.ts';
import { putPreparation } from '../program/put-preparation.ts';
import { setServingVersion } from '../program/set-serving-version.ts';
import { payloadKind, readAdapter, readPreparation, toWirePreparation, toWireProgram } from '../program/wire.ts';
import { changedBy, type UnitOfWork } from '../repeat/handle.ts';
import { getSignature } from '../signature/read-signatures.ts';
import { reportModules } from '../signature/report-modules.ts';
import { openCredential } from './open-credential.ts';
import { optimizationHandlers } from './optimization-rpc.ts';
import { type WatchDeps, watchCatalog } from './watch-catalog.ts';
import { toWireChange, toWirePrincipal, toWireResolved, toWireResolvedModel, toWireResolvedModule } from './wire.ts';

/** What the handlers need. */
export type CatalogRpcDeps = AuthenticateDeps &
  WatchDeps & {
    readonly work: UnitOfWork<Omit<ProgramDeps, 'definitions' | 'signatureParser'>>;
    readonly definitions: ProgramDeps['definitions'];
    readonly signatureParser: ProgramDeps['signatureParser'];
  };

/** The handlers of the service between our own processes. */
export function createCatalogHandlers(deps: CatalogRpcDeps): Handlers<typeof RegistryInternalServiceService> {
  const { work, definitions, signatureParser, catalog } = deps;
  const resolve = async (program: string, version: number) => toWireResolved(await catalog.resolve(program, version));
  const token = (wire: bigint): number => (wire <= Number.MAX_SAFE_INTEGER ? Number(wire) : -1);

  return {
    resolveProgram: async ({ program, version }) => {
      if (version < 0) throw invalidField('version', 'must not be negative');
      return resolve(program, version);
    },
    resolveLanguageModel: async ({ languageModel }) =>
      toWireResolvedModel(openCredential(deps.seal, await deps.catalogModels.resolve(languageModel))),
    watchCatalog: async function* (request, ctx) {
      for await (const event of watchCatalog(deps, request, ctx)) yield toWireChange(event);
    },
    beginInitialize: async (request, ctx) => {
      const by = changedBy('InitializeProgram', ctx);
      const begun = await work.change((stores) => beginInitialize(stores, request), by);
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
      const view = await work.change((stores) => finishInitialize(stores, input), changedBy('InitializeProgram', ctx));
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
    setServingVersion: async ({ expectedServingVersion: expected, ...request }, ctx) => {
      const by = changedBy('PromoteProgramVersion', ctx);
      const view = await work.change((stores) => setServingVersion(stores, { ...request, expected }), by);
      return toWireProgram(view, payloadKind(ctx));
    },
    reportModules: async ({ modules }) => {
      await work.change((stores) => reportModules(stores, modules));
      return {};
    },
    resolveModule: async ({ module }) => toWireResolvedModule(await deps.catalogModules.resolve(module)),
    ensureModuleProgram: async (request, ctx) => {
      const by = changedBy('ExecuteModule', ctx);
      const program = await work.change(
        (stores) => ensureModuleProgram({ ...stores, definitions, signatureParser }, request),
        by,
      );
      return resolve(program.id, 0);
    },
    reportBackend: async ({ executor, workers, modules }) => {
      const report = { executor, workers, modules: modules.map(readBackendModule) };
      await work.change((stores) => reportBackend(stores, report));
      return {};
    },
    getSignatureUsers: async ({ signature }) => {
      const { id, modules } = await work.read(async (stores) => {
        const found = await getSignature(stores, signature);
        return { id: found.id, modules: await stores.modules.countOfSignature(found.id) };
      });
      const { count, ids } = await deps.catalogModules.signaturePrograms(id);
      return { signatureId: id, moduleCount: BigInt(modules), programCount: BigInt(count), programIds: ids };
    },
    ensureQuickProgram: async ({ adapterType, ...request }, ctx) => {
      const input = { ...request, adapterType: readAdapter(adapterType, 'mock') };
      const by = changedBy('QuickExecute', ctx);
      const program = await work.change(
        (stores) => ensureQuickProgram({ ...stores, definitions, signatureParser }, input),
        by,
      );
      return resolve(program.id, 0);
    },
    ...optimizationHandlers(deps, resolve),
    authenticateKey: async ({ key }) => toWirePrincipal(await authenticateKey(deps, key)),
  };
}
