import { defineEntity, p } from '@mikro-orm/core';
import type { Configuration } from '../program/program.ts';
import type { ModuleImplementation, ModuleState, ModuleType, OptimizationHint, RoutingStrategy } from './module.ts';

/** Table `modules`; a deleted one stays with a `deleteTime`. */
export const ModuleEntity = defineEntity({
  name: 'Module',
  tableName: 'modules',
  schema: 'registry',
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    description: p.text(),
    type: p.text().$type<ModuleType>(),
    implementation: p.text().$type<ModuleImplementation>(),
    state: p.text().$type<ModuleState>(),
    inFlight: p.integer(),
    errorMessage: p.text(),
    signatureId: p.uuid().nullable(),
    signatureModule: p.text(),
    config: p.json<Record<string, unknown>>(),
    configuration: p.json<Configuration>(),
    demos: p.json<string[]>(),
    pythonModule: p.text(),
    nativeModule: p.text(),
    routingStrategy: p.text().$type<RoutingStrategy>(),
    cacheTtl: p.integer(),
    optimizationHints: p.json<OptimizationHint[]>(),
    performanceMetrics: p.json<Record<string, unknown>>(),
    generation: p.integer(),
    labels: p.json<Record<string, string>>(),
    catalogRevision: p.bigint('number'),
    rowVersion: p.integer(),
    createTime: p.datetime(3).defaultRaw('now()'),
    updateTime: p.datetime(3).defaultRaw('now()'),
    deleteTime: p.datetime(3).nullable(),
  },
});
