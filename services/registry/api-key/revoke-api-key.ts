import { requireEtag } from '../check/etag.ts';
import { type ApiKey, keyNotFound } from './api-key.ts';
import type { ApiKeyDeps } from './create-api-key.ts';

/** Ends a key; repeating it is no error. Fails with KEY_NOT_FOUND. */
export async function revokeApiKey(deps: ApiKeyDeps, input: { readonly apiKey: string }): Promise<ApiKey> {
  const key = await deps.apiKeys.lock(input.apiKey);
  if (key === undefined) throw keyNotFound(input.apiKey);
  return key.revokeTime ? key : deps.apiKeys.change(key, { revokeTime: deps.clock.now() });
}

/** Ends a key and forgets it. Fails with KEY_NOT_FOUND and ETAG_MISMATCH. */
export async function deleteApiKey(
  deps: ApiKeyDeps,
  input: { readonly apiKey: string; readonly etag: string },
): Promise<void> {
  const key = await deps.apiKeys.lock(input.apiKey);
  if (key === undefined) throw keyNotFound(input.apiKey);
  requireEtag(key, input.etag);
  await deps.apiKeys.remove(key.id);
}
