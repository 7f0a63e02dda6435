import { defineEntity, p } from '@mikro-orm/core';
import type { StoredSignature } from '../signature/signature.ts';
import type { AdapterType, Configuration, Lineage, ProgramKind, ProgramStatus, VersionSource } from './program.ts';
import type { ServingPolicy } from './serving-policy.ts';

/** Table `programs`; a deleted one stays as a tombstone with a `deleteTime`. */
export const ProgramEntity = defineEntity({
  name: 'Program',
  tableName: 'programs',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    slug: p.text(),
    name: p.text(),
    description: p.text(),
    status: p.text().$type<ProgramStatus>(),
    kind: p.text().$type<ProgramKind>(),
    adapterType: p.text().$type<AdapterType>(),
    signatureId: p.uuid().nullable(),
    signatureModule: p.text(),
    variables: p.json<Record<string, unknown>>(),
    optimizationHistory: p.json<Record<string, unknown>[]>(),
    dspyProgramId: p.text(),
    errorMessage: p.text(),
    servingVersion: p.integer(),
    latestVersion: p.integer(),
    fencingToken: p.bigint('number'),
    transitionUntil: p.datetime(3).nullable(),
    quickKey: p.text().nullable(),
    moduleId: p.uuid().nullable(),
    optimizerId: p.uuid().nullable(),
    optimizingJob: p.uuid().nullable(),
    servingPolicy: p.json<ServingPolicy>(),
    labels: p.json<Record<string, string>>(),
    catalogRevision: p.bigint('number'),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
    deleteTime: p.datetime(3).nullable(),
  },
});

/** Table `program_versions`, append-only. */
export const ProgramVersionEntity = defineEntity({
  name: 'ProgramVersion',
  tableName: 'program_versions',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    programId: p.uuid(),
    version: p.integer(),
    signature: p.json<StoredSignature>(),
    configuration: p.json<Configuration>(),
    demos: p.json<string[]>(),
    parentVersion: p.integer(),
    source: p.text().$type<VersionSource>(),
    dspyState: p.text(),
    pipelineSpec: p.text(),
    pipeline: p.text(),
    lineage: p.json<Lineage>().nullable(),
    optimizingJob: p.uuid().nullable(),
    scoreBefore: p.double().$type<number>().nullable(),
    scoreAfter: p.double().$type<number>().nullable(),
    createTime: p.datetime(3).defaultRaw('now()'),
  },
});

/** Table `program_preparations`: what engines made of a version, one a dialect. */
export const ProgramPreparationEntity = defineEntity({
  name: 'ProgramPreparation',
  tableName: 'program_preparations',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    versionId: p.uuid(),
    dialect: p.json<Record<string, string>>(),
    dialectHash: p.text(),
    state: p.text().$type<'ready' | 'error'>(),
    dspyProgramId: p.text(),
    errorMessage: p.text(),
    planJson: p.text(),
    nativeFault: p.text(),
    createTime: p.datetime(3).defaultRaw('now()'),
  },
});
