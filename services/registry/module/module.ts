import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import type { Configuration } from '../program/program.ts';

/** What a module may do. */
export const moduleTypes = ['predict', 'retrieve', 'optimize', 'custom'] as const;

/** What a module does. */
export type ModuleType = (typeof moduleTypes)[number];

/** Who may execute a module. */
export const moduleImplementations = ['native', 'python', 'hybrid'] as const;

/** Who executes a module. */
export type ModuleImplementation = (typeof moduleImplementations)[number];

/** Where a module may stand. */
export const moduleStates = ['uninitialized', 'initializing', 'ready', 'executing', 'error'] as const;

/** Where a module stands. */
export type ModuleState = (typeof moduleStates)[number];

/** Which engine may be tried first. */
export const routingStrategies = ['native_first', 'python_first', 'performance_based'] as const;

/** Which engine is tried first. */
export type RoutingStrategy = (typeof routingStrategies)[number];

/** What may happen to a module. */
export const moduleEvents = [
  'initialize',
  'mark_ready',
  'start_execution',
  'complete_execution',
  'fail',
  'reset',
] as const;

/** What happens to a module. */
export type ModuleEvent = (typeof moduleEvents)[number];

/** A parameter that an optimizer may try values of: of a range, or out of a list. */
export type OptimizationHint = {
  readonly parameter: string;
  readonly range?: { readonly min: number; readonly max: number };
  readonly choices?: readonly unknown[];
  readonly strategy: string;
};

/** A module as it is kept. */
export type Module = {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly type: ModuleType;
  readonly implementation: ModuleImplementation;
  readonly state: ModuleState;
  readonly inFlight: number;
  readonly errorMessage: string;
  readonly signatureId?: string | null;
  readonly signatureModule: string;
  readonly config: JsonRecord;
  readonly configuration: Configuration;
  /** JSON texts of objects, digits kept. */
  readonly demos: string[];
  readonly pythonModule: string;
  readonly nativeModule: string;
  readonly routingStrategy: RoutingStrategy;
  /** Seconds. */
  readonly cacheTtl: number;
  readonly optimizationHints: OptimizationHint[];
  readonly performanceMetrics: JsonRecord;
  /** Goes up with each change of what decides how it runs. */
  readonly generation: number;
  readonly labels: Record<string, string>;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** What the workers hold of a module. */
export type ModuleBackend = {
  readonly held: boolean;
  readonly registered: boolean;
  readonly running: number;
  readonly reportTime: Date | undefined;
  readonly error: string;
};

/** A module as callers see it. */
export type ModuleView = { readonly module: Module; readonly backend: ModuleBackend | undefined };

const name = /^[A-Za-z][A-Za-z0-9_.-]{0,127}$/;

/** True if a text may name a module. */
export function isModuleLabel(text: string): boolean {
  return name.test(text);
}

/** Where an event leads from a state; undefined where the event is not allowed. */
export function nextState(state: ModuleState, event: ModuleEvent): ModuleState | undefined {
  return transitions[event][state];
}

const transitions: Readonly<Record<ModuleEvent, Partial<Record<ModuleState, ModuleState>>>> = {
  initialize: { uninitialized: 'initializing' },
  mark_ready: { initializing: 'ready' },
  start_execution: { ready: 'executing' },
  complete_execution: { executing: 'ready' },
  fail: { initializing: 'error', executing: 'error' },
  reset: { error: 'uninitialized' },
};

/** The error for a module that is not there. */
export function moduleNotFound(named: string): AppError {
  const resource = named.slice(0, 130).toWellFormed().replaceAll('\0', '');
  return new AppError('MODULE_NOT_FOUND', `There is no module \`${resource}\``, { metadata: { resource } });
}

/** The error for a name that another module has. */
export function moduleNameTaken(taken: string): AppError {
  return new AppError('NAME_TAKEN', `The name \`${taken}\` is taken`, {
    metadata: { resource: taken, field: 'name' },
    fieldViolations: [{ field: 'name', reason: 'NAME_TAKEN', description: 'is taken by another module' }],
  });
}
