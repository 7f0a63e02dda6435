import { defineEntity, p } from '@mikro-orm/core';
import type { StoredField, StoredSignature } from './signature.ts';

/** Table `signatures`. */
export const SignatureEntity = defineEntity({
  name: 'Signature',
  tableName: 'signatures',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    module: p.text(),
    spec: p.text(),
    inputs: p.json<StoredField[]>(),
    outputs: p.json<StoredField[]>(),
    description: p.text(),
    version: p.text(),
    status: p.text().$type<'draft' | 'active' | 'deprecated'>(),
    metadata: p.json<Record<string, unknown>>(),
    strictMode: p.boolean(),
    mlTypes: p.json<string[]>(),
    complexity: p.integer(),
    labels: p.json<Record<string, string>>(),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
  },
});

/** Table `signature_versions`, append-only. */
export const SignatureVersionEntity = defineEntity({
  name: 'SignatureVersion',
  tableName: 'signature_versions',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    signatureId: p.uuid(),
    revision: p.integer(),
    snapshot: p.json<StoredSignature>(),
    createTime: p.datetime(3).defaultRaw('now()'),
  },
});

/** Table `signature_modules`: what workers reported. */
export const SignatureModuleEntity = defineEntity({
  name: 'SignatureModule',
  tableName: 'signature_modules',
  schema: 'registry',
  properties: {
    name: p.text().primary(),
    spec: p.text(),
    description: p.text(),
    error: p.text(),
    updateTime: p.datetime(3).defaultRaw('now()'),
  },
});
