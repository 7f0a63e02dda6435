import { isArray, isObject, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { Field, SignatureSpec } from '@signet/signature/types.ts';
import type { FieldChecks } from '../check/field-checks.ts';
import type { LmOptions } from './program.ts';

/** The one predictor of a saved program. */
export type PredictorState = {
  /** Where it stands in the request, for messages. */
  readonly path: string;
  readonly instructions: string;
  /** Descriptions of all fields in order, the reasoning of a chain of thought included. */
  readonly descriptions: readonly string[];
  readonly demos: readonly JsonValue[];
  readonly lmOptions: LmOptions | undefined;
};

/** Reads a saved state; what is wrong with it is added to `checks`. Undefined if it holds no predictor that could be read. */
export function readState(state: JsonObject, checks: FieldChecks): PredictorState | undefined {
  const found = findPredictor(state, checks);
  if (found === undefined) return undefined;
  const { path, predictor } = found;
  const signature = predictor.get('signature');
  const demos = predictor.get('demos');
  if (demos === undefined || !isArray(demos)) checks.add(`${path}.demos`, 'must be a list');
  if (signature === undefined || !isObject(signature)) {
    checks.add(`${path}.signature`, 'must be an object');
    return undefined;
  }
  const instructions = signature.get('instructions');
  if (typeof instructions !== 'string') checks.add(`${path}.signature.instructions`, 'must be a text');
  return {
    path,
    instructions: typeof instructions === 'string' ? instructions : '',
    descriptions: readDescriptions(signature.get('fields'), `${path}.signature.fields`, checks),
    demos: demos !== undefined && isArray(demos) ? demos : [],
    lmOptions: readLm(predictor.get('lm'), `${path}.lm`, checks),
  };
}

// A bare `dspy.Predict` saves itself; every other module saves its predictors by name.
function findPredictor(state: JsonObject, checks: FieldChecks): { path: string; predictor: JsonObject } | undefined {
  if (state.has('signature') && state.has('demos')) return { path: 'state', predictor: state };
  const named = [...state].filter(([name]) => name !== 'metadata');
  const [first] = named;
  if (named.length !== 1 || first === undefined) {
    checks.add('state', `must hold one predictor and \`metadata\`, not ${named.length} predictors`);
    return undefined;
  }
  const path = `state.${first[0].slice(0, 100)}`;
  if (isObject(first[1])) return { path, predictor: first[1] };
  checks.add(path, 'must be an object');
  return undefined;
}

function readDescriptions(fields: JsonValue | undefined, path: string, checks: FieldChecks): string[] {
  if (fields === undefined || !isArray(fields)) {
    checks.add(path, 'must be a list');
    return [];
  }
  return fields.map((field, at) => {
    const description = isObject(field) ? field.get('description') : undefined;
    if (typeof description === 'string') return description;
    checks.add(`${path}[${at}].description`, 'must be a text');
    return '';
  });
}

const optionNames = {
  temperature: 'temperature',
  max_tokens: 'maxTokens',
  top_p: 'topP',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
} as const;

// Everything in a state is kept and shown to viewers. DSPy leaves `api_key` out itself; other providers have other names for theirs.
const secretName = /(api_?key|access_key|secret|secret_key|password|authorization|credentials?|headers|token)$/i;

/**
 * The options that were saved with a model; undefined if there was none. Which model it was, and where, is for the program's own
 * configuration to say: names and addresses out of a file are not followed.
 */
export function readLm(lm: JsonValue | undefined, path: string, checks: FieldChecks): LmOptions | undefined {
  if (lm === undefined || lm === null) return undefined;
  if (!isObject(lm)) {
    checks.add(path, 'must be an object or null');
    return undefined;
  }
  for (const name of lm.keys()) {
    if (secretName.test(name))
      checks.add(`${path}.${name.slice(0, 64)}`, 'must not be kept here: DSPy saves no keys', 'SECRET');
  }
  const options: { -readonly [K in keyof LmOptions]: LmOptions[K] } = {};
  for (const [name, key] of Object.entries(optionNames) as [string, (typeof optionNames)['temperature']][]) {
    const value = lm.get(name);
    if (value === undefined || value === null) continue;
    if (value instanceof JsonNumber) options[key] = value.toNumber();
    else checks.add(`${path}.${name}`, 'must be a number');
  }
  const seed = lm.get('seed');
  if (seed instanceof JsonNumber && seed.isInteger) options.seed = seed.text;
  const stop = lm.get('stop');
  if (typeof stop === 'string') options.stop = [stop];
  else if (stop !== undefined && stop !== null && isArray(stop)) options.stop = stop.map(String);
  return options;
}

/** Writes what DSPy saves of a predictor, for a version that was not imported. */
export function writeState(given: {
  readonly module: 'predict' | 'chain_of_thought';
  readonly spec: SignatureSpec;
  readonly instructions: string;
  readonly demos: readonly JsonValue[];
  readonly dialect: Readonly<Record<string, string>>;
}): JsonObject {
  const { spec, module } = given;
  const reasoning: readonly Pick<Field, 'name' | 'description'>[] = module === 'predict' ? [] : [{ name: 'reasoning' }];
  const fields = [...spec.inputs, ...reasoning, ...spec.outputs].map((field) =>
    object({ prefix: `${inferPrefix(field.name)}:`, description: field.description ?? `\${${field.name}}` }),
  );
  const { python = '', dspy = '' } = given.dialect;
  const versions = new Map(Object.entries({ python, dspy }).filter(([, version]) => version !== ''));
  const signature = object({ instructions: given.instructions || defaultInstructions(spec), fields });
  const predictor = object({ traces: [], train: [], demos: given.demos, signature, lm: null });
  const metadata = object({ dependency_versions: versions });
  return module === 'predict'
    ? new Map([...predictor, ['metadata', metadata]])
    : object({ predict: predictor, metadata });
}

/** The sentence that DSPy takes where a signature says nothing. */
export function defaultInstructions({ inputs, outputs }: SignatureSpec): string {
  const names = (fields: readonly Field[]): string => fields.map(({ name }) => `\`${name}\``).join(', ');
  return `Given the fields ${names(inputs)}, produce the fields ${names(outputs)}.`;
}

function object(values: Readonly<Record<string, JsonValue>>): JsonObject {
  return new Map(Object.entries(values));
}

// DSPy's label of a field's name (`camelCase`, `snake_case` and digits come apart). Prompts do not show it; files do.
function inferPrefix(name: string): string {
  const words = name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([a-zA-Z])(\d)/g, '$1_$2')
    .replace(/(\d)([a-zA-Z])/g, '$1_$2')
    .split('_');
  const isUpper = (word: string): boolean => word === word.toUpperCase() && word !== word.toLowerCase();
  return words
    .map((word) => (isUpper(word) ? word : word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase()))
    .join(' ');
}
