import { defineEntity, p } from '@mikro-orm/core';
import type { Role } from '@signet/kit/call-context.ts';

/** Table `api_keys`; the key itself is not in it, only its HMAC. */
export const ApiKeyEntity = defineEntity({
  name: 'ApiKey',
  tableName: 'api_keys',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    role: p.text().$type<Role>(),
    prefix: p.text(),
    keyHash: p.blob(),
    formerKeyHash: p.blob().nullable(),
    formerUntil: p.datetime(3).nullable(),
    rotateTime: p.datetime(3).nullable(),
    expireTime: p.datetime(3).nullable(),
    revokeTime: p.datetime(3).nullable(),
    labels: p.json<Record<string, string>>(),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
  },
});
