import { AppError } from '@signet/kit/error/app-error.ts';
import { findUnstorableText, isObject, JsonError, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { Field } from '@signet/signature/types.ts';
import { checkValues } from '@signet/signature/value.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import { readSpec, type Signature } from '../signature/signature.ts';
import type { Configuration, LmOptions } from './program.ts';

/** A payload of a request: a JSON value, or why it could not be read. */
export type GivenPayload = JsonValue | JsonError;

/** A configuration as a caller wrote it. */
export type GivenConfiguration = {
  readonly module: string;
  readonly promptAdapter: string;
  readonly lm: string;
  readonly lmOptions: LmOptions;
  readonly instructions: string;
  readonly demos: readonly GivenPayload[];
  readonly modules: readonly GivenPayload[];
  readonly metadata: JsonRecord | undefined;
};

const payloadsMax = 64;

/**
 * Checks a configuration and fills in its defaults. What is wrong with its fields is added to `checks`; MODULE_INVALID and LM_NOT_FOUND
 * are thrown at once. A module is one of a fixed list: no name is ever imported.
 */
export function checkConfiguration(given: GivenConfiguration, checks: FieldChecks): Configuration {
  const module = given.module || 'predict';
  if (module !== 'predict' && module !== 'chain_of_thought') throw moduleInvalid(module);
  const promptAdapter = given.promptAdapter || 'chat';
  if (promptAdapter !== 'chat' && promptAdapter !== 'json') {
    checks.add('configuration.prompt_adapter', 'must be chat or json');
  }
  if (given.lm !== '' && given.lm !== 'default') throw lmNotFound(given.lm);
  checkLmOptions(given.lmOptions, checks);
  checks.text('configuration.instructions', given.instructions, { max: 20_000 });
  checks.json('configuration.metadata', given.metadata);
  return {
    module,
    promptAdapter,
    lm: given.lm,
    lmOptions: given.lmOptions,
    instructions: given.instructions,
    modules: objectTexts('configuration.modules', given.modules, checks),
    metadata: given.metadata ?? {},
  };
}

/**
 * Checks demos against the signature they are for: each an object whose known fields fit their types, missing ones allowed. Gives them
 * as JSON text with every digit.
 */
export function checkDemos(demos: readonly GivenPayload[], signature: Signature, checks: FieldChecks): string[] {
  const texts = objectTexts('configuration.demos', demos, checks);
  if (demos.length === 0 || demos.length > payloadsMax) return texts;
  const { inputs, outputs } = readSpec(signature.spec, signature.mlTypes);
  const fields: readonly Field[] = [...inputs, ...outputs];
  for (const [index, demo] of demos.entries()) {
    if (demo instanceof JsonError || !isObject(demo)) continue;
    const known: JsonObject = new Map(fields.flatMap(({ name }) => (demo.has(name) ? [[name, demo.get(name)!]] : [])));
    const root = `configuration.demos[${index}]`;
    const result = checkValues(fields, known, { strictMode: signature.strictMode, root, partial: true });
    if (result.ok) continue;
    for (const { field, description, reason } of result.violations) checks.add(field, description, reason);
  }
  return texts;
}

function objectTexts(path: string, payloads: readonly GivenPayload[], checks: FieldChecks): string[] {
  if (payloads.length > payloadsMax) checks.add(path, `must have at most ${payloadsMax} entries`, 'TOO_MANY');
  return payloads.slice(0, payloadsMax).flatMap((payload, index) => {
    const field = `${path}[${index}]`;
    if (payload instanceof JsonError) checks.add(field, payload.message, payload.reason);
    else if (!isObject(payload)) checks.add(field, 'must be a JSON object');
    else {
      const unstorable = findUnstorableText(payload, field);
      if (unstorable === undefined) return [writeJson(payload)];
      checks.add(unstorable, 'must not hold \\u0000 or half a surrogate pair', 'TEXT_INVALID');
    }
    return [];
  });
}

function checkLmOptions(options: LmOptions, checks: FieldChecks): void {
  const range = (name: string, value: number | undefined, min: number, max: number): void => {
    if (value === undefined || (value >= min && value <= max)) return;
    checks.add(`configuration.lm_options.${name}`, `must be from ${min} to ${max}`);
  };
  range('temperature', options.temperature, 0, 2);
  range('max_tokens', options.maxTokens, 1, 1_000_000);
  range('presence_penalty', options.presencePenalty, -2, 2);
  range('frequency_penalty', options.frequencyPenalty, -2, 2);
  if (options.topP !== undefined && !(options.topP > 0 && options.topP <= 1)) {
    checks.add('configuration.lm_options.top_p', 'must be above 0 and at most 1');
  }
  const stop = options.stop ?? [];
  if (stop.length > 8) checks.add('configuration.lm_options.stop', 'must have at most 8 entries', 'TOO_MANY');
  for (const [index, text] of stop.slice(0, 8).entries()) {
    checks.text(`configuration.lm_options.stop[${index}]`, text, { max: 256 });
    if (text === '') checks.add(`configuration.lm_options.stop[${index}]`, 'must not be empty');
  }
}

function moduleInvalid(module: string): AppError {
  const shown = module.slice(0, 100);
  return new AppError('MODULE_INVALID', `Unknown module \`${shown}\`; there are predict and chain_of_thought`, {
    metadata: { module: shown, field: 'configuration.module' },
    fieldViolations: [
      { field: 'configuration.module', reason: 'MODULE_INVALID', description: 'must be predict or chain_of_thought' },
    ],
  });
}

function lmNotFound(lm: string): AppError {
  const resource = lm.slice(0, 100);
  return new AppError('LM_NOT_FOUND', `There is no language model \`${resource}\``, {
    metadata: { resource, field: 'configuration.lm' },
  });
}
