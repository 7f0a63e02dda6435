import type { CallContext } from '@signet/kit/call-context.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { Module as WireModule } from '@signet/proto/gen/signet/v1/module.ts';
import type { ModuleServiceService } from '@signet/proto/gen/signet/v1/module_service.ts';
import type { ProgramDeps } from '../program/create-program.ts';
import { payloadKind } from '../program/wire.ts';
import { created, handleChange, type UnitOfWork } from '../repeat/handle.ts';
import type { RepeatDeps } from '../repeat/run-once.ts';
import { deleteModule } from './delete-module.ts';
import { fireModuleEvent } from './fire-module-event.ts';
import type { Module } from './module.ts';
import { getModule, listModules, moduleCapabilities } from './read-modules.ts';
import { registerModule } from './register-module.ts';
import { updateModule } from './update-module.ts';
import { updateModuleMetrics } from './update-module-metrics.ts';
import { readEvent, readRegister, readUpdate, toWireBackendView, toWireModule } from './wire.ts';

type Stores = Omit<ProgramDeps, 'definitions' | 'signatureParser'> & RepeatDeps;

/** What the handlers need. */
export type ModuleRpcDeps = {
  readonly work: UnitOfWork<Stores>;
  readonly definitions: ProgramDeps['definitions'];
  readonly signatureParser: ProgramDeps['signatureParser'];
};

/** The handlers of ModuleService. */
export function createModuleHandlers(deps: ModuleRpcDeps): Handlers<typeof ModuleServiceService> {
  const { work, definitions, signatureParser } = deps;
  const answer = (module: Module, ctx: CallContext, configuration?: Parameters<typeof payloadKind>[1]) =>
    toWireModule({ module, backend: undefined }, payloadKind(ctx, configuration));
  return {
    registerModule: (request, ctx) =>
      handleChange(work, 'RegisterModule', request, WireModule, ctx, async (stores) => {
        const module = await registerModule({ ...stores, definitions, signatureParser }, readRegister(request));
        return { response: answer(module, ctx, request.configuration), reply: created(`/v1/modules/${module.id}`) };
      }),
    getModule: async (request, ctx) =>
      toWireModule(await work.read((stores) => getModule(stores, request)), payloadKind(ctx)),
    listModules: async (request, ctx) => {
      const { page, view } = await work.read((stores) => listModules(stores, request));
      const kind = payloadKind(ctx);
      return {
        modules: page.items.map((item) => toWireModule(item, kind)),
        nextPageToken: page.nextPageToken,
        backend: toWireBackendView(view),
      };
    },
    updateModule: (request, ctx) =>
      handleChange(work, 'UpdateModule', request, WireModule, ctx, async (stores) => {
        const module = await updateModule({ ...stores, definitions, signatureParser }, readUpdate(request));
        return { response: answer(module, ctx, request.configuration) };
      }),
    deleteModule: (request, ctx) =>
      handleChange(work, 'DeleteModule', request, Empty, ctx, async (stores) => {
        await deleteModule(stores, request);
        return { response: {} };
      }),
    updateModuleMetrics: (request, ctx) =>
      handleChange(work, 'UpdateModuleMetrics', request, WireModule, ctx, async (stores) => ({
        response: answer(await updateModuleMetrics(stores, request), ctx),
      })),
    fireModuleEvent: (request, ctx) =>
      handleChange(work, 'FireModuleEvent', request, WireModule, ctx, async (stores) => ({
        response: answer(await fireModuleEvent(stores, { ...request, event: readEvent(request.event) }), ctx),
      })),
    getModuleCapabilities: async () => ({ capabilities: { ...moduleCapabilities } }),
  };
}
