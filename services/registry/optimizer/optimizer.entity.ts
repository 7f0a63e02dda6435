import { defineEntity, p } from '@mikro-orm/core';
import type { OptimizerType } from './optimizer.ts';

/** Table `optimizers`; a deleted one stays as a tombstone with a `deleteTime`. */
export const OptimizerEntity = defineEntity({
  name: 'Optimizer',
  tableName: 'optimizers',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    slug: p.text(),
    name: p.text(),
    description: p.text(),
    type: p.text().$type<OptimizerType>(),
    config: p.json<Record<string, unknown>>(),
    state: p.json<Record<string, unknown>>(),
    labels: p.json<Record<string, string>>(),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
    deleteTime: p.datetime(3).nullable(),
  },
});
