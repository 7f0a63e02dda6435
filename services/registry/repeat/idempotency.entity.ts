import { defineEntity, p } from '@mikro-orm/core';

/** Table `idempotency`: the answer of each call that named a request id, for 24 hours. */
export const IdempotencyEntity = defineEntity({
  name: 'Idempotency',
  tableName: 'idempotency',
  schema: 'registry',
  properties: {
    keyId: p.text().primary(),
    method: p.text().primary(),
    requestId: p.text().primary(),
    requestHash: p.text(),
    response: p.blob().nullable(),
    reply: p.json<Record<string, string>>(),
    createTime: p.datetime(3).defaultRaw('now()'),
  },
});
