import { findUnstorableText, isObject, JsonError, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import type { Field } from '@signet/signature/types.ts';
import { checkValues } from '@signet/signature/value.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import { readSpec, type Signature } from '../signature/signature.ts';
import { checkModule, type ModuleNames } from './check-module.ts';
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
  readonly moduleConfig: JsonRecord | undefined;
};

const payloadsMax = 64;

/**
 * Checks a configuration and fills in its defaults. What is wrong with its fields is added to `checks`; MODULE_INVALID is thrown at
 * once. No name of a module is ever imported. Whether its language model is there is for `requireLanguageModel`.
 */
export async function checkConfiguration(
  names: ModuleNames,
  given: GivenConfiguration,
  checks: FieldChecks,
): Promise<Configuration> {
  const choice = await checkModule(names, given, checks);
  const promptAdapter = given.promptAdapter || 'chat';
  if (promptAdapter !== 'chat' && promptAdapter !== 'json') {
    checks.add('configuration.prompt_adapter', 'must be chat or json');
  }
  checkLmOptions(given.lmOptions, checks);
  checks.text('configuration.instructions', given.instructions, { max: 20_000 });
  checks.json('configuration.metadata', given.metadata);
  return {
    ...choice,
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
export function checkDemos(
  demos: readonly GivenPayload[],
  signature: Signature,
  checks: FieldChecks,
  path = 'configuration.demos',
): string[] {
  const texts = objectTexts(path, demos, checks);
  if (demos.length === 0 || demos.length > payloadsMax) return texts;
  const { inputs, outputs } = readSpec(signature.spec, signature.mlTypes);
  const fields: readonly Field[] = [...inputs, ...outputs];
  for (const [index, demo] of demos.entries()) {
    if (demo instanceof JsonError || !isObject(demo)) continue;
    const known: JsonObject = new Map(fields.flatMap(({ name }) => (demo.has(name) ? [[name, demo.get(name)!]] : [])));
    const root = `${path}[${index}]`;
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

/** Checks options of a language model under their place in a request. */
export function checkLmOptions(options: LmOptions, checks: FieldChecks, root = 'configuration.lm_options'): void {
  const range = (name: string, value: number | undefined, min: number, max: number): void => {
    if (value === undefined || (value >= min && value <= max)) return;
    checks.add(`${root}.${name}`, `must be from ${min} to ${max}`);
  };
  range('temperature', options.temperature, 0, 2);
  range('max_tokens', options.maxTokens, 1, 1_000_000);
  range('presence_penalty', options.presencePenalty, -2, 2);
  range('frequency_penalty', options.frequencyPenalty, -2, 2);
  if (options.topP !== undefined && !(options.topP > 0 && options.topP <= 1)) {
    checks.add(`${root}.top_p`, 'must be above 0 and at most 1');
  }
  const stop = options.stop ?? [];
  if (stop.length > 8) checks.add(`${root}.stop`, 'must have at most 8 entries', 'TOO_MANY');
  for (const [index, text] of stop.slice(0, 8).entries()) {
    checks.text(`${root}.stop[${index}]`, text, { max: 256 });
    if (text === '') checks.add(`${root}.stop[${index}]`, 'must not be empty');
  }
}
