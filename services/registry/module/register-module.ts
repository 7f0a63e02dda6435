import { AppError } from '@signet/kit/error/app-error.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { requireLanguageModel } from '../language-model/read-language-models.ts';
import { checkConfiguration, checkDemos, type GivenConfiguration } from '../program/check-configuration.ts';
import { isKind, moduleInvalid } from '../program/check-module.ts';
import { chooseSignature, type ProgramDeps } from '../program/create-program.ts';
import type { Configuration } from '../program/program.ts';
import type { Signature } from '../signature/signature.ts';
import { checkHints } from './check-hints.ts';
import {
  isModuleLabel,
  type Module,
  type ModuleImplementation,
  type ModuleType,
  type OptimizationHint,
  type RoutingStrategy,
} from './module.ts';
import { kindOfModule } from './module-kind.ts';
import { moduleNames } from './module-names.ts';

/** Seconds for which an answer is kept unless said. */
export const cacheTtlDefault = 300;
const cacheTtlMax = 31_536_000;

/** What says how a module is run; undefined for a value that nobody knows. */
export type ModuleSettingsInput = {
  readonly type: ModuleType | undefined;
  readonly implementation: ModuleImplementation | undefined;
  readonly config: JsonRecord | undefined;
  readonly configuration: GivenConfiguration;
  readonly pythonModule: string;
  readonly nativeModule: string;
  readonly routingStrategy: RoutingStrategy | undefined;
  /** Seconds. */
  readonly cacheTtl: number;
  readonly optimizationHints: readonly OptimizationHint[];
  readonly description: string;
  readonly labels: Record<string, string>;
};

/** A new module; at most one of `signature`, `signatureSpec` and `signatureModule` is not empty. */
export type RegisterModuleInput = ModuleSettingsInput & {
  readonly name: string;
  readonly signature: string;
  readonly signatureSpec: string;
  readonly signatureModule: string;
};

/**
 * Registers a module, UNINITIALIZED, with its signature if it has one. Fails with INVALID_REQUEST, MODULE_INVALID, NAME_TAKEN,
 * SIGNATURE_SYNTAX, SIGNATURE_TYPE, SIGNATURE_NOT_FOUND, SIGNATURE_DEPRECATED and LM_NOT_FOUND.
 */
export async function registerModule(deps: ProgramDeps, input: RegisterModuleInput): Promise<Module> {
  const checks = new FieldChecks();
  checkLabel(input.name, checks);
  const given = [input.signature, input.signatureSpec, input.signatureModule].filter((text) => text !== '').length;
  if (given > 1) {
    checks.add('signature', 'give at most one of signature, signature_spec and signature_module', 'AMBIGUOUS');
  }
  const settings = await checkModuleSettings(deps, input, checks);
  checks.done();
  await requireLanguageModel(deps, settings.configuration.lm, 'configuration.lm');
  const signature = given === 0 ? undefined : await chooseSignature(deps, input);
  return deps.modules.create({
    ...settings,
    name: input.name,
    demos: demosFor(signature, input.configuration, checks),
    signatureId: signature?.id ?? null,
    signatureModule: signature?.module ?? '',
  });
}

/** Checks a module's name; a kind of module is none, as configurations name both. */
export function checkLabel(name: string, checks: FieldChecks): void {
  if (name === '') checks.add('name', 'is required', 'REQUIRED');
  else if (!isModuleLabel(name)) checks.add('name', 'must match ^[A-Za-z][A-Za-z0-9_.-]{0,127}$');
  else if (isKind(name)) checks.add('name', 'is the name of a kind of module');
}

/** Checks what says how a module is run and fills in the defaults. What is wrong is added to `checks`. */
export async function checkModuleSettings(deps: ProgramDeps, input: ModuleSettingsInput, checks: FieldChecks) {
  if (input.type === undefined) checks.add('type', 'must be one of predict, retrieve, optimize and custom', 'REQUIRED');
  if (input.implementation === undefined) checks.add('implementation', 'is not a known value', 'UNKNOWN_VALUE');
  if (input.routingStrategy === undefined) checks.add('routing_strategy', 'is not a known value', 'UNKNOWN_VALUE');
  if (!Number.isInteger(input.cacheTtl) || input.cacheTtl < 1 || input.cacheTtl > cacheTtlMax) {
    checks.add('cache_ttl', `must be from 1 to ${cacheTtlMax} seconds`);
  }
  checks.text('description', input.description, { max: 10_000 });
  checks.json('config', input.config);
  checks.labels('labels', input.labels);
  checkHints(input.optimizationHints, checks);
  const implementation = input.implementation ?? 'python';
  const { pythonModule, nativeModule } = input;
  const kind = kindOfModule({ implementation, pythonModule, nativeModule, kind: input.configuration.module }, checks);
  return {
    type: input.type ?? ('predict' as const),
    implementation,
    config: input.config ?? {},
    configuration: await configurationOf(deps, input.configuration, kind, checks),
    pythonModule,
    nativeModule,
    routingStrategy: input.routingStrategy ?? ('performance_based' as const),
    cacheTtl: input.cacheTtl,
    optimizationHints: [...input.optimizationHints],
    description: input.description,
    labels: input.labels,
  };
}

/** The demos of a module as JSON texts; a module without a signature has none to check them against. */
export function demosFor(signature: Signature | undefined, given: GivenConfiguration, checks: FieldChecks): string[] {
  if (signature === undefined && given.demos.length > 0) checks.add('configuration.demos', 'need a signature');
  const demos = signature === undefined ? [] : checkDemos(given.demos, signature, checks);
  checks.done();
  return demos;
}

async function configurationOf(
  deps: ProgramDeps,
  given: GivenConfiguration,
  kind: string,
  checks: FieldChecks,
): Promise<Configuration> {
  try {
    const checked = await checkConfiguration(moduleNames(deps), { ...given, module: kind }, checks);
    // A module that stands for another would hide from its programs what they run.
    if (checked.registered !== undefined) throw moduleInvalid(kind);
    return checked;
  } catch (error) {
    // What callers wrote is the Python module; the kind was made of it.
    if (!(error instanceof AppError) || error.reason !== 'MODULE_INVALID') throw error;
    checks.add('python_module', 'is not on the allow-list of Python modules', 'MODULE_INVALID');
    checks.done();
    throw error;
  }
}
