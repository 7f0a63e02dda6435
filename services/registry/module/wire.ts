import type { BackendModule as WireBackendModule } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import {
  type BackendView as WireBackendView,
  ModuleEvent as WireEvent,
  type OptimizationHint as WireHint,
  ModuleImplementation as WireImplementation,
  type Module as WireModule,
  ModuleState as WireState,
  RoutingStrategy as WireStrategy,
  ModuleType as WireType,
} from '@signet/proto/gen/signet/v1/module.ts';
import type { RegisterModuleRequest, UpdateModuleRequest } from '@signet/proto/gen/signet/v1/module_service.ts';
import { etagOf } from '../check/etag.ts';
import type { PayloadKind } from '../program/payload-wire.ts';
import { readConfiguration, toWireConfiguration } from '../program/wire.ts';
import type { BackendModule, BackendView } from './backend.ts';
import type {
  ModuleEvent,
  ModuleImplementation,
  ModuleState,
  ModuleType,
  ModuleView,
  OptimizationHint,
  RoutingStrategy,
} from './module.ts';
import { cacheTtlDefault, type RegisterModuleInput } from './register-module.ts';
import type { ModuleField, UpdateModuleInput } from './update-module.ts';

const wireTypes: Record<ModuleType, WireType> = {
  predict: WireType.MODULE_TYPE_PREDICT,
  retrieve: WireType.MODULE_TYPE_RETRIEVE,
  optimize: WireType.MODULE_TYPE_OPTIMIZE,
  custom: WireType.MODULE_TYPE_CUSTOM,
};

/** Implementations on the wire. */
export const wireImplementations: Record<ModuleImplementation, WireImplementation> = {
  native: WireImplementation.MODULE_IMPLEMENTATION_NATIVE,
  python: WireImplementation.MODULE_IMPLEMENTATION_PYTHON,
  hybrid: WireImplementation.MODULE_IMPLEMENTATION_HYBRID,
};

/** States on the wire. */
export const wireModuleStates: Record<ModuleState, WireState> = {
  uninitialized: WireState.MODULE_STATE_UNINITIALIZED,
  initializing: WireState.MODULE_STATE_INITIALIZING,
  ready: WireState.MODULE_STATE_READY,
  executing: WireState.MODULE_STATE_EXECUTING,
  error: WireState.MODULE_STATE_ERROR,
};

/** Routing strategies on the wire. */
export const wireStrategies: Record<RoutingStrategy, WireStrategy> = {
  native_first: WireStrategy.ROUTING_STRATEGY_NATIVE_FIRST,
  python_first: WireStrategy.ROUTING_STRATEGY_PYTHON_FIRST,
  performance_based: WireStrategy.ROUTING_STRATEGY_PERFORMANCE_BASED,
};

const wireEvents: Record<ModuleEvent, WireEvent> = {
  initialize: WireEvent.MODULE_EVENT_INITIALIZE,
  mark_ready: WireEvent.MODULE_EVENT_MARK_READY,
  start_execution: WireEvent.MODULE_EVENT_START_EXECUTION,
  complete_execution: WireEvent.MODULE_EVENT_COMPLETE_EXECUTION,
  fail: WireEvent.MODULE_EVENT_FAIL,
  reset: WireEvent.MODULE_EVENT_RESET,
};

/** Writes a module. */
export function toWireModule({ module, backend }: ModuleView, kind: PayloadKind): WireModule {
  return {
    id: module.id,
    name: module.name,
    type: wireTypes[module.type],
    implementation: wireImplementations[module.implementation],
    signatureId: module.signatureId ?? '',
    signatureModule: module.signatureModule,
    state: wireModuleStates[module.state],
    config: module.config,
    configuration: toWireConfiguration(module.configuration, module.demos, kind),
    pythonModule: module.pythonModule,
    nativeModule: module.nativeModule,
    routingStrategy: wireStrategies[module.routingStrategy],
    cacheTtl: BigInt(module.cacheTtl),
    optimizationHints: module.optimizationHints.map(toWireHint),
    performanceMetrics: module.performanceMetrics,
    inFlight: module.inFlight,
    errorMessage: module.errorMessage,
    description: module.description,
    labels: module.labels,
    etag: etagOf(module),
    createTime: module.createTime,
    updateTime: module.updateTime,
    backend,
  };
}

function toWireHint({ parameter, range, choices, strategy }: OptimizationHint): WireHint {
  if (range !== undefined) return { parameter, strategy, space: { $case: 'range', value: { ...range } } };
  return { parameter, strategy, space: { $case: 'choices', value: { values: [...(choices ?? [])] } } };
}

/** Writes the workers' side of a list. */
export function toWireBackendView(view: BackendView | undefined): WireBackendView | undefined {
  return view && { ...view, ageMs: BigInt(Math.round(view.ageMs)) };
}

/** Reads a request to register a module. */
export function readRegister(request: RegisterModuleRequest): RegisterModuleInput {
  const { name, signature, signatureSpec, signatureModule, config, pythonModule, nativeModule } = request;
  return {
    ...{ name, signature, signatureSpec, signatureModule, config, pythonModule, nativeModule },
    type: keyOf(wireTypes, request.type),
    implementation: request.implementation === 0 ? 'python' : keyOf(wireImplementations, request.implementation),
    configuration: readConfiguration(request.configuration),
    routingStrategy: readStrategy(request.routingStrategy),
    cacheTtl: request.cacheTtl === undefined ? cacheTtlDefault : Number(request.cacheTtl),
    optimizationHints: request.optimizationHints.map(readHint),
    description: request.description,
    labels: request.labels,
  };
}

/** Reads a request to change a module. */
export function readUpdate(request: UpdateModuleRequest): UpdateModuleInput {
  const { module, etag, updateMask, type, implementation, routingStrategy, config } = request;
  const given: Record<ModuleField, boolean> = {
    name: request.name !== undefined,
    type: type !== undefined,
    implementation: implementation !== undefined,
    signature: request.signature !== undefined,
    config: config !== undefined,
    configuration: request.configuration !== undefined,
    python_module: request.pythonModule !== undefined,
    native_module: request.nativeModule !== undefined,
    routing_strategy: routingStrategy !== undefined,
    cache_ttl: request.cacheTtl !== undefined,
    optimization_hints: request.optimizationHints.length > 0,
    description: request.description !== undefined,
    labels: Object.keys(request.labels).length > 0,
  };
  return {
    ...{ module, etag, updateMask, config },
    set: (Object.keys(given) as ModuleField[]).filter((field) => given[field]),
    name: request.name ?? '',
    signature: request.signature ?? '',
    type: keyOf(wireTypes, type ?? 0),
    implementation: implementation ? keyOf(wireImplementations, implementation) : 'python',
    configuration: readConfiguration(request.configuration),
    pythonModule: request.pythonModule ?? '',
    nativeModule: request.nativeModule ?? '',
    routingStrategy: readStrategy(routingStrategy ?? 0),
    cacheTtl: request.cacheTtl === undefined ? cacheTtlDefault : Number(request.cacheTtl),
    optimizationHints: request.optimizationHints.map(readHint),
    description: request.description ?? '',
    labels: request.labels,
  };
}

/** Reads an event; undefined for one that nobody knows. */
export function readEvent(wire: number): ModuleEvent | undefined {
  return keyOf(wireEvents, wire);
}

/** Reads what an executor tells of one module. */
export function readBackendModule(wire: WireBackendModule): BackendModule {
  const { id, name, pythonClass, held, running, error } = wire;
  return { id, name, pythonClass, held, running, error };
}

function readStrategy(wire: number): RoutingStrategy | undefined {
  return wire === 0 ? 'performance_based' : keyOf(wireStrategies, wire);
}

function readHint({ parameter, space, strategy }: WireHint): OptimizationHint {
  if (space?.$case === 'range') return { parameter, strategy, range: { min: space.value.min, max: space.value.max } };
  if (space?.$case === 'choices') return { parameter, strategy, choices: space.value.values };
  return { parameter, strategy };
}

function keyOf<Key extends string>(names: Readonly<Record<Key, number>>, wire: number): Key | undefined {
  return (Object.keys(names) as Key[]).find((name) => names[name] === wire);
}
