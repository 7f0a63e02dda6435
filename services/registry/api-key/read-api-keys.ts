import type { CallContext } from '@signet/kit/call-context.ts';
import { pageSize } from '@signet/kit/page-token.ts';
import type { Page } from '../page.ts';
import { type ApiKey, keyNotFound } from './api-key.ts';
import type { ApiKeyStore } from './store.postgres.ts';

type Deps = { readonly apiKeys: ApiKeyStore };

/** Asks for a page of keys. */
export type ListApiKeysInput = {
  readonly pageSize: number;
  readonly pageToken: string;
  readonly filter: string;
  readonly orderBy: string;
};

/** Reads a key; KEY_NOT_FOUND. */
export async function getApiKey(deps: Deps, id: string): Promise<ApiKey> {
  const key = await deps.apiKeys.find(id);
  if (key === undefined) throw keyNotFound(id);
  return key;
}

/** Reads the key that the call was made with; KEY_NOT_FOUND if it was deleted since, or if no key was. */
export function getMe(deps: Deps, ctx: CallContext): Promise<ApiKey> {
  return getApiKey(deps, ctx.principal?.keyId ?? '');
}

/** Reads a page of keys; INVALID_REQUEST, FILTER_SYNTAX and PAGE_TOKEN_INVALID. */
export function listApiKeys(deps: Deps, input: ListApiKeysInput): Promise<Page<ApiKey>> {
  return deps.apiKeys.list({ ...input, pageSize: pageSize(input.pageSize) });
}
