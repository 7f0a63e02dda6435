import { defineEntity, p } from '@mikro-orm/core';
import type { LmCapabilities, LmConstraint, LmLimits, LmPrices, LmProvider } from './language-model.ts';

/** Table `language_models`; a deleted one stays as a tombstone with a `deleteTime` and without its credential. */
export const LanguageModelEntity = defineEntity({
  name: 'LanguageModel',
  tableName: 'language_models',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    slug: p.text(),
    name: p.text(),
    description: p.text(),
    provider: p.text().$type<LmProvider>(),
    model: p.text(),
    apiBase: p.text(),
    parameters: p.json<Record<string, unknown>>(),
    capabilities: p.json<LmCapabilities>(),
    constrained: p.text().$type<LmConstraint>(),
    limits: p.json<LmLimits>(),
    prices: p.json<LmPrices>().nullable(),
    fallbacks: p.json<readonly string[]>(),
    labels: p.json<Record<string, string>>(),
    credential: p.blob().nullable().lazy(),
    credentialKeyId: p.text().nullable().lazy(),
    credentialUpdateTime: p.datetime(3).nullable(),
    catalogRevision: p.bigint('number'),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
    deleteTime: p.datetime(3).nullable(),
  },
});
