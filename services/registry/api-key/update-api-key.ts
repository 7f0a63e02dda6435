import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { type ApiKey, keyNotFound } from './api-key.ts';
import { type ApiKeyDeps, checkExpireTime } from './create-api-key.ts';

/** The fields of a key that an update may change. */
export type ApiKeyField = 'name' | 'expire_time' | 'labels';

const fields: MaskFields<ApiKeyField> = {
  settable: ['name', 'expire_time', 'labels'],
  outputOnly: ['id', 'role', 'prefix', 'revoke_time', 'rotate_time', 'former_until', 'create_time', 'update_time'],
};

/** Changes of a key; `set` are the fields that stand in the request. */
export type UpdateApiKeyInput = {
  readonly apiKey: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly ApiKeyField[];
  readonly name: string;
  readonly expireTime: Date | undefined;
  readonly labels: Record<string, string>;
};

/** Changes a key's name, end or labels. Fails with KEY_NOT_FOUND, ETAG_MISMATCH and INVALID_REQUEST. */
export async function updateApiKey(deps: ApiKeyDeps, input: UpdateApiKeyInput): Promise<ApiKey> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const checks = new FieldChecks();
  if (named.has('name')) checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (named.has('expire_time')) checkExpireTime(deps.clock, input.expireTime, checks);
  checks.labels('labels', input.labels);
  checks.done();
  const key = await deps.apiKeys.lock(input.apiKey);
  if (key === undefined) throw keyNotFound(input.apiKey);
  requireEtag(key, input.etag);
  if (named.size === 0) return key;
  return deps.apiKeys.change(key, {
    ...(named.has('name') ? { name: input.name } : {}),
    ...(named.has('expire_time') ? { expireTime: input.expireTime ?? null } : {}),
    ...(named.has('labels') ? { labels: input.labels } : {}),
  });
}
