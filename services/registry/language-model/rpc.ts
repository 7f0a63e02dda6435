import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { LanguageModel as WireModel } from '@signet/proto/gen/signet/v1/language_model.ts';
import type { LanguageModelServiceService } from '@signet/proto/gen/signet/v1/language_model_service.ts';
import { created, handleChange, type UnitOfWork } from '../repeat/handle.ts';
import type { RepeatDeps } from '../repeat/run-once.ts';
import { createLanguageModel, type LanguageModelDeps } from './create-language-model.ts';
import { deleteLanguageModel } from './delete-language-model.ts';
import { getLanguageModel, listLanguageModels } from './read-language-models.ts';
import { updateLanguageModel } from './update-language-model.ts';
import { readCreate, readUpdate, toWireLanguageModel } from './wire.ts';

type Stores = Pick<LanguageModelDeps, 'languageModels'> & RepeatDeps;

/** What the handlers need. */
export type LanguageModelRpcDeps = Omit<LanguageModelDeps, 'languageModels'> & { readonly work: UnitOfWork<Stores> };

/** The handlers of LanguageModelService. */
export function createLanguageModelHandlers(deps: LanguageModelRpcDeps): Handlers<typeof LanguageModelServiceService> {
  const { work, seal, allowPrivate } = deps;
  const withModels = ({ languageModels }: Stores) => ({ languageModels, seal, allowPrivate });
  return {
    createLanguageModel: (request, ctx) =>
      handleChange(work, 'CreateLanguageModel', request, WireModel, ctx, async (stores) => {
        const model = await createLanguageModel(withModels(stores), readCreate(request), ctx);
        return { response: toWireLanguageModel(model), reply: created(`/v1/languageModels/${model.id}`) };
      }),
    getLanguageModel: async ({ languageModel }) =>
      toWireLanguageModel(await work.read((stores) => getLanguageModel(stores, languageModel))),
    listLanguageModels: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listLanguageModels(stores, request));
      return { languageModels: items.map(toWireLanguageModel), nextPageToken };
    },
    updateLanguageModel: (request, ctx) =>
      handleChange(work, 'UpdateLanguageModel', request, WireModel, ctx, async (stores) => ({
        response: toWireLanguageModel(await updateLanguageModel(withModels(stores), readUpdate(request), ctx)),
      })),
    deleteLanguageModel: (request, ctx) =>
      handleChange(work, 'DeleteLanguageModel', request, Empty, ctx, async (stores) => {
        await deleteLanguageModel(stores, request, ctx);
        return { response: {} };
      }),
  };
}
