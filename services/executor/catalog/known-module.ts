import {
  ModuleImplementation as WireImplementation,
  ModuleState as WireState,
  RoutingStrategy as WireStrategy,
} from '@signet/proto/gen/signet/v1/module.ts';
import type { RoutingStrategy } from '../engine/engine.ts';
import type { ResolvedModule } from './registry.grpc.ts';

/** What a registered module says about how programs of it are run. */
export type ModuleSettings = {
  readonly id: string;
  readonly name: string;
  readonly implementation: 'native' | 'python' | 'hybrid';
  readonly routingStrategy: RoutingStrategy;
  readonly cacheTtlMs: number;
};

/** Where a module stands. */
export type ModuleState = 'uninitialized' | 'initializing' | 'ready' | 'executing' | 'error';

/** A module as the registry told of it. */
export type KnownModule = {
  readonly settings: ModuleSettings;
  readonly state: ModuleState;
  readonly errorMessage: string;
  readonly isDeleted: boolean;
  /** True if it has a signature. */
  readonly isExecutable: boolean;
  /** Goes up with each change of what decides how it runs. */
  readonly generation: bigint;
  readonly revision: bigint;
  /** The name on the workers' allow-list that it needs; empty if none. */
  readonly pythonClass: string;
};

/** Reads what the registry says of how programs of a module are run. */
export function moduleSettingsOf(wire: NonNullable<ResolvedModule['settings']>): ModuleSettings {
  const { id, name, implementation, routingStrategy, cacheTtlS } = wire;
  return {
    ...{ id, name },
    implementation: implementations[implementation] ?? 'python',
    routingStrategy: strategies[routingStrategy] ?? 'performance_based',
    cacheTtlMs: Number(cacheTtlS) * 1000,
  };
}

/** Reads what the registry says of a module; undefined if it says of none. */
export function knownModuleOf(wire: ResolvedModule): KnownModule | undefined {
  if (wire.settings === undefined) return undefined;
  const { errorMessage, generation, revision, pythonClass } = wire;
  return {
    settings: moduleSettingsOf(wire.settings),
    state: states[wire.state] ?? 'uninitialized',
    isDeleted: wire.deleted,
    isExecutable: wire.executable,
    ...{ errorMessage, generation, revision, pythonClass },
  };
}

const implementations: Readonly<Record<number, ModuleSettings['implementation']>> = {
  [WireImplementation.MODULE_IMPLEMENTATION_NATIVE]: 'native',
  [WireImplementation.MODULE_IMPLEMENTATION_PYTHON]: 'python',
  [WireImplementation.MODULE_IMPLEMENTATION_HYBRID]: 'hybrid',
};

const strategies: Readonly<Record<number, RoutingStrategy>> = {
  [WireStrategy.ROUTING_STRATEGY_NATIVE_FIRST]: 'native_first',
  [WireStrategy.ROUTING_STRATEGY_PYTHON_FIRST]: 'python_first',
  [WireStrategy.ROUTING_STRATEGY_PERFORMANCE_BASED]: 'performance_based',
};

const states: Readonly<Record<number, ModuleState>> = {
  [WireState.MODULE_STATE_UNINITIALIZED]: 'uninitialized',
  [WireState.MODULE_STATE_INITIALIZING]: 'initializing',
  [WireState.MODULE_STATE_READY]: 'ready',
  [WireState.MODULE_STATE_EXECUTING]: 'executing',
  [WireState.MODULE_STATE_ERROR]: 'error',
};
