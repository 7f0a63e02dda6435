import type { Role } from '@signet/kit/call-context.ts';
import { type ApiKey as WireApiKey, Role as WireRole } from '@signet/proto/gen/signet/v1/api_key.ts';
import type { CreateApiKeyRequest, UpdateApiKeyRequest } from '@signet/proto/gen/signet/v1/api_key_service.ts';
import { etagOf } from '../check/etag.ts';
import type { ApiKey } from './api-key.ts';
import type { CreateApiKeyInput } from './create-api-key.ts';
import type { ApiKeyField, UpdateApiKeyInput } from './update-api-key.ts';

/** Roles on the wire. */
export const wireRoles: Record<Role, WireRole> = {
  viewer: WireRole.ROLE_VIEWER,
  runner: WireRole.ROLE_RUNNER,
  editor: WireRole.ROLE_EDITOR,
  admin: WireRole.ROLE_ADMIN,
};

/** Writes a key, without what it is. */
export function toWireApiKey(key: ApiKey): WireApiKey {
  const { id, name, role, prefix, expireTime, revokeTime, rotateTime, formerUntil, labels, createTime, updateTime } =
    key;
  return {
    id,
    name,
    role: wireRoles[role],
    prefix,
    expireTime: expireTime ?? undefined,
    revokeTime: revokeTime ?? undefined,
    rotateTime: rotateTime ?? undefined,
    formerUntil: formerUntil ?? undefined,
    labels,
    etag: etagOf(key),
    createTime,
    updateTime,
  };
}

/** Reads a request to make a key. */
export function readCreate({ name, role, expireTime, labels }: CreateApiKeyRequest): CreateApiKeyInput {
  const known = (Object.keys(wireRoles) as Role[]).find((key) => wireRoles[key] === role);
  return { name, role: known, expireTime, labels };
}

/** Reads a request to change a key. */
export function readUpdate(request: UpdateApiKeyRequest): UpdateApiKeyInput {
  const { apiKey, etag, updateMask, name, expireTime, labels } = request;
  const given: Record<ApiKeyField, boolean> = {
    name: name !== undefined,
    expire_time: expireTime !== undefined,
    labels: Object.keys(labels).length > 0,
  };
  const set = (Object.keys(given) as ApiKeyField[]).filter((field) => given[field]);
  return { apiKey, etag, updateMask, set, name: name ?? '', expireTime, labels };
}
