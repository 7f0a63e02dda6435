import { AppError } from '@signet/kit/error/app-error.ts';
import { isModuleName } from '@signet/signature/module-name.ts';
import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import { checkTools } from './check-tools.ts';

/** The kinds of modules that every program may name, with what each is built with. */
export const moduleKinds = [
  'predict',
  'chain_of_thought',
  'react',
  'multi_chain_comparison',
  'best_of_n',
  'refine',
  'program_of_thought',
] as const;

/** A kind of module. */
export type ModuleKind = (typeof moduleKinds)[number];

/** What a module's name may stand for. */
export type ModuleNames = {
  /** True for a name on the workers' allow-list. */
  isAllowed(name: string): Promise<boolean>;
  /** The registered module of a name or id. */
  findModule(name: string): Promise<NamedModule | undefined>;
};

/** A registered module as a program pins it. */
export type NamedModule = {
  readonly id: string;
  readonly name: string;
  readonly module: string;
  readonly moduleConfig: JsonRecord;
};

/** A module as a configuration names it, and what it is built with. */
export type ModuleChoice = {
  readonly module: string;
  readonly moduleConfig: JsonRecord;
  readonly registered?: NamedModule;
};

const root = 'configuration.module_config';

/**
 * Checks the module of a configuration. A kind's settings are checked here; a name is looked up and never imported. What is wrong with
 * the settings is added to `checks`; a module that nobody knows is MODULE_INVALID.
 */
export async function checkModule(
  names: ModuleNames,
  given: { readonly module: string; readonly moduleConfig: JsonRecord | undefined },
  checks: FieldChecks,
): Promise<ModuleChoice> {
  const module = given.module || 'predict';
  const moduleConfig = given.moduleConfig ?? {};
  checks.json(root, moduleConfig);
  if (isKind(module)) {
    await checkSettings(names, module, moduleConfig, checks);
    return { module, moduleConfig };
  }
  if (module.startsWith('python:')) {
    const name = module.slice('python:'.length);
    if (!isModuleName(name) || !(await names.isAllowed(name))) throw moduleInvalid(module);
    onlyKeys(moduleConfig, ['kwargs'], checks);
    checkKeywords(moduleConfig.kwargs, checks);
    return { module, moduleConfig };
  }
  const registered = await names.findModule(module);
  if (registered === undefined) throw moduleInvalid(module);
  if (Object.keys(moduleConfig).length > 0) checks.add(root, 'must be empty: the registered module has its own');
  return { module: registered.name, moduleConfig: {}, registered };
}

/** True for a kind of module that needs no look-up. */
export function isKind(module: string): module is ModuleKind {
  return (moduleKinds as readonly string[]).includes(module);
}

async function checkSettings(
  names: ModuleNames,
  kind: ModuleKind,
  config: JsonRecord,
  checks: FieldChecks,
): Promise<void> {
  switch (kind) {
    case 'predict':
    case 'chain_of_thought':
      return onlyKeys(config, [], checks);
    case 'react':
      onlyKeys(config, ['max_iters', 'tools'], checks);
      whole(config, 'max_iters', 1, 50, checks);
      return checkTools(`${root}.tools`, config.tools, checks);
    case 'multi_chain_comparison':
      onlyKeys(config, ['M', 'temperature'], checks);
      whole(config, 'M', 2, 8, checks);
      return number(config, 'temperature', 0, 2, checks);
    case 'program_of_thought':
      onlyKeys(config, ['max_iters'], checks);
      return whole(config, 'max_iters', 1, 10, checks);
    case 'best_of_n':
    case 'refine':
      return checkSampling(names, config, checks);
  }
}

async function checkSampling(names: ModuleNames, config: JsonRecord, checks: FieldChecks): Promise<void> {
  onlyKeys(config, ['N', 'threshold', 'reward_fn', 'module', 'fail_count'], checks);
  whole(config, 'N', 1, 16, checks);
  whole(config, 'fail_count', 0, 16, checks);
  if (config.threshold === undefined) checks.add(`${root}.threshold`, 'is required', 'REQUIRED');
  number(config, 'threshold', -1e9, 1e9, checks);
  if (config.module !== undefined && config.module !== 'predict' && config.module !== 'chain_of_thought') {
    checks.add(`${root}.module`, 'must be predict or chain_of_thought');
  }
  const reward = config.reward_fn;
  if (reward === undefined) checks.add(`${root}.reward_fn`, 'is required', 'REQUIRED');
  else if (typeof reward !== 'string' || !isModuleName(reward) || !(await names.isAllowed(reward))) {
    checks.add(`${root}.reward_fn`, 'must be a name on the allow-list of Python modules', 'MODULE_INVALID');
  }
}

function onlyKeys(config: JsonRecord, known: readonly string[], checks: FieldChecks): void {
  for (const key of Object.keys(config)) {
    if (known.includes(key)) continue;
    const takes = known.length === 0 ? 'the module takes no settings' : `there are ${known.join(', ')}`;
    checks.add(`${root}[${JSON.stringify(key.slice(0, 64).toWellFormed())}]`, `is unknown; ${takes}`, 'FIELD_UNKNOWN');
  }
}

function whole(config: JsonRecord, key: string, min: number, max: number, checks: FieldChecks): void {
  const value = config[key];
  if (value === undefined) return;
  const fits = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
  if (!fits) checks.add(`${root}.${key}`, `must be an integer from ${min} to ${max}`);
}

function number(config: JsonRecord, key: string, min: number, max: number, checks: FieldChecks): void {
  const value = config[key];
  if (value === undefined) return;
  const fits = typeof value === 'number' && value >= min && value <= max;
  if (!fits) checks.add(`${root}.${key}`, `must be a number from ${min} to ${max}`);
}

const keyword = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

function checkKeywords(kwargs: unknown, checks: FieldChecks): void {
  if (kwargs === undefined) return;
  if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs)) {
    checks.add(`${root}.kwargs`, 'must be an object of keywords and values');
    return;
  }
  const wrong = Object.keys(kwargs).filter((key) => !keyword.test(key));
  if (wrong.length > 0) checks.add(`${root}.kwargs`, 'each key must be a Python identifier of at most 64 characters');
  if (Object.keys(kwargs).length > 64) checks.add(`${root}.kwargs`, 'must have at most 64 entries', 'TOO_MANY');
}

/** The error for a module that nobody knows. */
export function moduleInvalid(module: string): AppError {
  const shown = module.slice(0, 140).toWellFormed().replaceAll('\0', '');
  const known = `there are ${moduleKinds.join(', ')}, python:NAME of the allow-list, and registered modules`;
  return new AppError('MODULE_INVALID', `Unknown module \`${shown}\`; ${known}`, {
    metadata: { module: shown, field: 'configuration.module' },
    fieldViolations: [{ field: 'configuration.module', reason: 'MODULE_INVALID', description: `is unknown; ${known}` }],
  });
}
