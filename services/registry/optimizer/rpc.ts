import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { Optimizer as WireOptimizer } from '@signet/proto/gen/signet/v1/optimizer.ts';
import type { OptimizerServiceService } from '@signet/proto/gen/signet/v1/optimizer_service.ts';
import { created, handleChange, type UnitOfWork } from '../repeat/handle.ts';
import type { RepeatDeps } from '../repeat/run-once.ts';
import { createOptimizer } from './create-optimizer.ts';
import { deleteOptimizer } from './delete-optimizer.ts';
import { getOptimizer, listOptimizers } from './read-optimizers.ts';
import { updateOptimizer } from './update-optimizer.ts';
import { readCreate, readUpdate, toWireKinds, toWireOptimizer } from './wire.ts';

type Stores = Parameters<typeof createOptimizer>[0] & RepeatDeps;

/** The handlers of OptimizerService. */
export function createOptimizerHandlers({
  work,
}: {
  readonly work: UnitOfWork<Stores>;
}): Handlers<typeof OptimizerServiceService> {
  return {
    createOptimizer: (request, ctx) =>
      handleChange(work, 'CreateOptimizer', request, WireOptimizer, ctx, async (stores) => {
        const optimizer = await createOptimizer(stores, readCreate(request));
        return { response: toWireOptimizer(optimizer), reply: created(`/v1/optimizers/${optimizer.id}`) };
      }),
    getOptimizer: async ({ optimizer }) =>
      toWireOptimizer(await work.read((stores) => getOptimizer(stores, optimizer))),
    listOptimizers: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listOptimizers(stores, request));
      return { optimizers: items.map(toWireOptimizer), nextPageToken };
    },
    updateOptimizer: (request, ctx) =>
      handleChange(work, 'UpdateOptimizer', request, WireOptimizer, ctx, async (stores) => ({
        response: toWireOptimizer(await updateOptimizer(stores, readUpdate(request))),
      })),
    deleteOptimizer: (request, ctx) =>
      handleChange(work, 'DeleteOptimizer', request, Empty, ctx, async (stores) => {
        await deleteOptimizer(stores, request);
        return { response: {} };
      }),
    listOptimizerKinds: async () => ({ kinds: toWireKinds() }),
  };
}
