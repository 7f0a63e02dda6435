import { defineEntity, p } from '@mikro-orm/core';
import type { ImportSource } from './dataset.ts';

/** Table `datasets`; a deleted one stays as a tombstone with a `deleteTime`. */
export const DatasetEntity = defineEntity({
  name: 'Dataset',
  tableName: 'datasets',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    slug: p.text(),
    name: p.text(),
    description: p.text(),
    signatureSpec: p.text(),
    signatureId: p.uuid().nullable(),
    strictMode: p.boolean(),
    latestVersion: p.integer(),
    exampleCount: p.bigint('number'),
    trainCount: p.bigint('number'),
    validationCount: p.bigint('number'),
    testCount: p.bigint('number'),
    /** The position that was given out last. */
    lastPosition: p.bigint('number'),
    labels: p.json<Record<string, string>>(),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
    deleteTime: p.datetime(3).nullable(),
  },
});

/** Table `dataset_versions`, append-only but for the statistics, which are worked out once. */
export const DatasetVersionEntity = defineEntity({
  name: 'DatasetVersion',
  tableName: 'dataset_versions',
  schema: 'registry',
  properties: {
    datasetId: p.uuid().primary(),
    version: p.integer().primary(),
    exampleCount: p.bigint('number'),
    trainCount: p.bigint('number'),
    validationCount: p.bigint('number'),
    testCount: p.bigint('number'),
    addedCount: p.bigint('number'),
    replacedCount: p.bigint('number'),
    removedCount: p.bigint('number'),
    duplicateCount: p.bigint('number'),
    faultyCount: p.bigint('number'),
    source: p.text().$type<ImportSource>(),
    createdBy: p.text(),
    note: p.text(),
    statistics: p.json<unknown>().nullable().lazy(),
    createTime: p.datetime(3).defaultRaw('now()'),
  },
});
