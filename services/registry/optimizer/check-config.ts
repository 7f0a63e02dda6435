import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import { budgetCaps, jobKeys, type KindKey, kinds, metricKinds } from './kinds.ts';
import type { OptimizerType } from './optimizer.ts';

const keysMax = 64;
const itemsMax = 20;
const bytesMax = 65_536;

/** Checks the settings of an optimizer, of its kind and of jobs alike; every fault has its path. */
export function checkConfig(type: OptimizerType, config: JsonRecord, checks: FieldChecks, root = 'config'): void {
  checks.json(root, config);
  const entries = Object.entries(config);
  if (entries.length > keysMax) checks.add(root, `must have at most ${keysMax} entries`, 'TOO_MANY');
  if (JSON.stringify(config).length > bytesMax) {
    checks.add(root, `must have at most ${bytesMax} characters as JSON`, 'TOO_LONG');
  }
  const known = new Map([...jobKeys, ...kinds[type].keys].map((key) => [key.name, key]));
  for (const [name, value] of entries.slice(0, keysMax)) {
    const key = known.get(name);
    const field = `${root}.${name.slice(0, 64).toWellFormed()}`;
    if (key === undefined) checks.add(field, `is no setting of ${type}`, 'UNKNOWN_FIELD');
    else if (value !== null) checkValue(field, key, value, checks);
  }
  for (const key of kinds[type].keys) {
    if (key.required && (config[key.name] ?? '') === '') checks.add(`${root}.${key.name}`, 'is required', 'REQUIRED');
  }
  checkTogether(type, config, checks, root);
}

/** The settings that belong to the kind, and those that jobs look for. */
export function splitConfig(config: JsonRecord): { readonly own: JsonRecord; readonly job: JsonRecord } {
  const isOfJobs = (name: string): boolean => jobKeys.some((key) => key.name === name);
  const given = Object.entries(config).filter(([, value]) => value !== null);
  return {
    own: Object.fromEntries(given.filter(([name]) => !isOfJobs(name))),
    job: Object.fromEntries(given.filter(([name]) => isOfJobs(name))),
  };
}

function checkValue(field: string, key: KindKey, value: unknown, checks: FieldChecks): void {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = key;
  switch (key.type) {
    case 'integer':
    case 'number': {
      const fits = typeof value === 'number' && (key.type === 'number' || Number.isSafeInteger(value));
      const kind = key.type === 'integer' ? 'a whole number' : 'a number';
      if (!fits || value < minimum || value > maximum) {
        checks.add(field, `must be ${kind} from ${minimum} to ${maximum}`, 'OUT_OF_RANGE');
      }
      return;
    }
    case 'boolean':
      if (typeof value !== 'boolean') checks.add(field, 'must be true or false');
      return;
    case 'choice':
      if (!key.choices!.includes(value as string)) checks.add(field, `must be one of ${key.choices!.join(', ')}`);
      return;
    case 'text':
      if (typeof value !== 'string') checks.add(field, 'must be a text');
      else checks.text(field, value, { max: 200, oneLine: true });
      return;
    case 'list':
      checkList(field, key, value, checks);
      return;
    case 'object':
      if (typeof value !== 'object' || Array.isArray(value)) checks.add(field, 'must be an object');
      else if (key.name === 'budget') checkBudget(field, value as JsonRecord, checks);
      else if (key.name === 'metric') checkMetricKind(field, value as JsonRecord, checks);
  }
}

// In either spelling, as a request over HTTP has it.
function checkBudget(field: string, budget: JsonRecord, checks: FieldChecks): void {
  for (const [name, cap] of Object.entries(budget)) {
    const known = name === 'lmCalls' ? 'lm_calls' : name;
    const path = `${field}.${name.slice(0, 64).toWellFormed()}`;
    const amount = typeof cap === 'string' && /^\d{1,15}$/.test(cap) ? Number(cap) : cap;
    if (!Object.hasOwn(budgetCaps, known)) {
      checks.add(path, `is no cap; there are ${Object.keys(budgetCaps).join(', ')}`, 'UNKNOWN_FIELD');
      continue;
    }
    const most = budgetCaps[known as keyof typeof budgetCaps];
    const isWhole = known === 'usd' || Number.isSafeInteger(amount);
    if (typeof amount !== 'number' || !isWhole || !(amount >= 0 && amount <= most)) {
      checks.add(path, `must be a ${known === 'usd' ? '' : 'whole '}number from 0 to ${most}`, 'OUT_OF_RANGE');
    }
  }
}

// The rest of a metric is for executors to judge, who know the examples.
function checkMetricKind(field: string, { kind }: JsonRecord, checks: FieldChecks): void {
  const word = String(kind ?? '')
    .toLowerCase()
    .replace(/^metric_kind_/, '');
  if (!metricKinds.includes(word))
    checks.add(`${field}.kind`, `must be one of ${metricKinds.join(', ')}`, 'UNKNOWN_VALUE');
}

function checkList(field: string, { choices }: KindKey, value: unknown, checks: FieldChecks): void {
  if (!Array.isArray(value) || value.length === 0) {
    checks.add(field, 'must be a list with at least one item');
    return;
  }
  if (value.length > itemsMax) checks.add(field, `must have at most ${itemsMax} items`, 'TOO_MANY');
  for (const [at, item] of value.slice(0, itemsMax).entries()) {
    if (typeof item !== 'string' || item === '' || item.length > 64) checks.add(`${field}[${at}]`, 'must be a word');
    else if (choices !== undefined && !choices.includes(item)) {
      checks.add(`${field}[${at}]`, `must be one of ${choices.join(', ')}`);
    }
  }
}

// What DSPy's constructors refuse although each value by itself is right.
function checkTogether(type: OptimizerType, config: JsonRecord, checks: FieldChecks, root: string): void {
  const has = (name: string): boolean => (config[name] ?? null) !== null;
  if (type === 'mipro') {
    if (has('auto') && (has('num_candidates') || has('num_trials'))) {
      checks.add(`${root}.auto`, 'goes with neither num_candidates nor num_trials', 'EXCLUSIVE');
    } else if (has('num_candidates') !== has('num_trials')) {
      const missing = has('num_trials') ? 'num_candidates' : 'num_trials';
      checks.add(`${root}.${missing}`, 'is required: num_candidates and num_trials go together', 'REQUIRED');
    }
  }
  const bounds = ['auto', 'max_full_evals', 'max_metric_calls'].filter(has);
  if (type === 'gepa' && bounds.length > 1) {
    checks.add(`${root}.${bounds[1]}`, `goes not with ${bounds[0]}: one of them says how much is tried`, 'EXCLUSIVE');
  }
}
