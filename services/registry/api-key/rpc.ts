import type { Clock } from '@signet/kit/clock.ts';
import type { Handlers } from '@signet/kit/grpc/server.ts';
import { Empty } from '@signet/proto/gen/google/protobuf/empty.ts';
import { ApiKey as WireApiKey } from '@signet/proto/gen/signet/v1/api_key.ts';
import {
  type ApiKeyServiceService,
  CreateApiKeyResponse,
  RotateApiKeyResponse,
} from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { created, handleChange, type UnitOfWork } from '../repeat/handle.ts';
import type { RepeatDeps } from '../repeat/run-once.ts';
import { type ApiKeyDeps, createApiKey } from './create-api-key.ts';
import { getApiKey, getMe, listApiKeys } from './read-api-keys.ts';
import { deleteApiKey, revokeApiKey } from './revoke-api-key.ts';
import { rotateApiKey } from './rotate-api-key.ts';
import { updateApiKey } from './update-api-key.ts';
import { readCreate, readUpdate, toWireApiKey } from './wire.ts';

type Stores = Pick<ApiKeyDeps, 'apiKeys'> & RepeatDeps;

/** What the handlers need. */
export type ApiKeyRpcDeps = { readonly work: UnitOfWork<Stores>; readonly pepper: string; readonly clock: Clock };

/** The handlers of ApiKeyService. */
export function createApiKeyHandlers(deps: ApiKeyRpcDeps): Handlers<typeof ApiKeyServiceService> {
  const { work, pepper, clock } = deps;
  const withKeys = ({ apiKeys }: Stores) => ({ apiKeys, pepper, clock });
  return {
    createApiKey: (request, ctx) =>
      handleChange(work, 'CreateApiKey', request, CreateApiKeyResponse, ctx, async (stores) => {
        const { apiKey, secret } = await createApiKey(withKeys(stores), readCreate(request));
        const shown = toWireApiKey(apiKey);
        return {
          response: { apiKey: shown, secret },
          remembered: { apiKey: shown, secret: '' },
          reply: created(`/v1/apiKeys/${apiKey.id}`),
        };
      }),
    getApiKey: async ({ apiKey }) => toWireApiKey(await work.read((stores) => getApiKey(stores, apiKey))),
    listApiKeys: async (request) => {
      const { items, nextPageToken } = await work.read((stores) => listApiKeys(stores, request));
      return { apiKeys: items.map(toWireApiKey), nextPageToken };
    },
    updateApiKey: (request, ctx) =>
      handleChange(work, 'UpdateApiKey', request, WireApiKey, ctx, async (stores) => ({
        response: toWireApiKey(await updateApiKey(withKeys(stores), readUpdate(request))),
      })),
    rotateApiKey: (request, ctx) =>
      handleChange(work, 'RotateApiKey', request, RotateApiKeyResponse, ctx, async (stores) => {
        const { apiKey, secret } = await rotateApiKey(withKeys(stores), request);
        const shown = toWireApiKey(apiKey);
        return { response: { apiKey: shown, secret }, remembered: { apiKey: shown, secret: '' } };
      }),
    revokeApiKey: (request, ctx) =>
      handleChange(work, 'RevokeApiKey', request, WireApiKey, ctx, async (stores) => ({
        response: toWireApiKey(await revokeApiKey(withKeys(stores), request)),
      })),
    deleteApiKey: (request, ctx) =>
      handleChange(work, 'DeleteApiKey', request, Empty, ctx, async (stores) => {
        await deleteApiKey(withKeys(stores), request);
        return { response: {} };
      }),
    getMe: async (_request, ctx) => toWireApiKey(await work.read((stores) => getMe(stores, ctx))),
  };
}
