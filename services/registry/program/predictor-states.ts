import { isArray, isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { FieldChecks } from '../check/field-checks.ts';
import { readLm } from './dspy-state.ts';
import type { Configuration, LmOptions } from './program.ts';

const predictorsMax = 64;
const demosMax = 64;
const instructionsMax = 20_000;

/** The predictors of modules whose predictors are known; of others the workers know them. */
const known: Readonly<Record<string, readonly string[]>> = {
  react: ['react', 'extract.predict'],
  multi_chain_comparison: ['chain.predict', 'compare.predict'],
};

/** The kind of module by which engines run a version. */
export function engineModule({ module, registered }: Pick<Configuration, 'module' | 'registered'>): string {
  return registered?.module ?? module;
}

/** True for modules whose saved state is kept as a whole: a program's instructions and demos are those of one predictor alone. */
export function isWhole(module: string): boolean {
  return module !== 'predict' && module !== 'chain_of_thought';
}

/**
 * Checks what DSPy saved of a module with predictors of its own; what is wrong is added to `checks` with its path. Gives the options that
 * were saved with the model, undefined if there were none.
 */
export function checkPredictorStates(state: JsonObject, module: string, checks: FieldChecks): LmOptions | undefined {
  const named = [...state].filter(([name]) => name !== 'metadata');
  checkNames(
    named.map(([name]) => name),
    module,
    checks,
  );
  let options: LmOptions | undefined;
  for (const [name, predictor] of named.slice(0, predictorsMax)) {
    const path = `state.${name.slice(0, 100)}`;
    if (isObject(predictor)) options = checkPredictor(predictor, path, checks) ?? options;
    else checks.add(path, 'must be an object');
  }
  return options;
}

function checkNames(names: readonly string[], module: string, checks: FieldChecks): void {
  if (names.length === 0 || names.length > predictorsMax) {
    checks.add('state', `must hold 1 to ${predictorsMax} predictors and \`metadata\`, not ${names.length}`);
    return;
  }
  const expected = known[module];
  if (expected === undefined) return;
  const missing = expected.filter((name) => !names.includes(name));
  const unknown = names.filter((name) => !expected.includes(name));
  for (const name of missing) checks.add(`state.${name}`, `is missing: ${module} has the predictors ${list(expected)}`);
  for (const name of unknown) {
    checks.add(`state.${name.slice(0, 100)}`, `is no predictor of ${module}, which has ${list(expected)}`);
  }
}

function checkPredictor(predictor: JsonObject, path: string, checks: FieldChecks): LmOptions | undefined {
  const signature = predictor.get('signature');
  if (signature === undefined || !isObject(signature)) checks.add(`${path}.signature`, 'must be an object');
  else checkSignature(signature, `${path}.signature`, checks);
  const demos = predictor.get('demos');
  if (demos === undefined || !isArray(demos)) checks.add(`${path}.demos`, 'must be a list');
  else if (demos.length > demosMax) checks.add(`${path}.demos`, `must have at most ${demosMax} entries`);
  else {
    for (const [at, demo] of demos.entries())
      if (!isObject(demo)) checks.add(`${path}.demos[${at}]`, 'must be an object');
  }
  return readLm(predictor.get('lm'), `${path}.lm`, checks);
}

function checkSignature(signature: JsonObject, path: string, checks: FieldChecks): void {
  const instructions = signature.get('instructions');
  if (typeof instructions !== 'string' || instructions === '') {
    checks.add(`${path}.instructions`, 'must be a text that is not empty');
  } else checks.text(`${path}.instructions`, instructions, { max: instructionsMax });
  const fields = signature.get('fields');
  if (fields === undefined || !isArray(fields)) checks.add(`${path}.fields`, 'must be a list');
  else for (const [at, field] of fields.entries()) checkField(field, `${path}.fields[${at}]`, checks);
}

function checkField(field: JsonValue, path: string, checks: FieldChecks): void {
  const isText = (name: string): boolean => isObject(field) && typeof field.get(name) === 'string';
  if (!isText('prefix') || !isText('description')) checks.add(path, 'must have a prefix and a description, both texts');
}

function list(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(' and ');
}
