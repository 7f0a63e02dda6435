import { invariant } from '@signet/kit/error/app-error.ts';
import { findUnstorableText, isObject, JsonError, type JsonObject } from '@signet/signature/json.ts';
import { printSpec } from '@signet/signature/print.ts';
import type { Field } from '@signet/signature/types.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { FieldChecks } from '../check/field-checks.ts';
import { readSpec, type Signature, specColumns } from '../signature/signature.ts';
import { checkDemos, checkLmOptions, type GivenPayload } from './check-configuration.ts';
import { defaultInstructions, type PredictorState, readState } from './dspy-state.ts';
import { checkPredictorStates, engineModule, isWhole } from './predictor-states.ts';
import type { Configuration, ProgramVersion } from './program.ts';
import type { NewVersion } from './versions.postgres.ts';

const specBytesMax = 8_192;
const stateBytesMax = 4 * 1024 * 1024;

/**
 * What a version is that is made of another one and of what DSPy saved. What is wrong with the state is added to `checks`, with its path,
 * or thrown as INVALID_REQUEST where it cannot be read at all.
 */
export function versionOfState(
  given: {
    readonly base: Pick<ProgramVersion, 'configuration' | 'signature'>;
    /** `predict`, `chain_of_thought` or the base's own; empty means that of the base. */
    readonly module: string;
    readonly state: JsonObject;
  },
  checks: FieldChecks,
): Omit<NewVersion, 'source'> {
  const { base, module, state } = given;
  const engine = module || engineModule(base.configuration);
  if (isWhole(engine)) return wholeVersion(base, engine, state, checks);
  const predictor = readState(state, checks);
  checks.done();
  invariant(predictor !== undefined, 'a state without faults was not read');
  const configuration = configure(base.configuration, engine, predictor, checks);
  const signature = describe(base.signature, { ...configuration, module: engine }, predictor, checks);
  const demos = checkDemos(predictor.demos, signature, checks, `${predictor.path}.demos`);
  return { signature, configuration, demos, dspyState: writeJson(state) };
}

// Of several predictors only the workers know the fields: what does not fit them is found when the version is prepared.
function wholeVersion(
  base: Pick<ProgramVersion, 'configuration' | 'signature'>,
  module: string,
  state: JsonObject,
  checks: FieldChecks,
): Omit<NewVersion, 'source'> {
  const { configuration, signature } = base;
  if (module !== engineModule(configuration)) {
    checks.add('module', `must be predict, chain_of_thought or ${engineModule(configuration)}, the program's own`);
  }
  const options = checkPredictorStates(state, module, checks);
  if (options !== undefined) checkLmOptions(options, checks, 'state.lm');
  const made = { ...configuration, lmOptions: options ?? configuration.lmOptions };
  return { signature, configuration: made, demos: [], dspyState: writeJson(state) };
}

/** Reads a saved state as it came; a pickle, and what cannot be kept, is added to `checks`. */
export function checkState(given: GivenPayload | 'pickle', checks: FieldChecks): JsonObject | undefined {
  if (given === 'pickle') {
    checks.add('state', 'is a pickle, which could run code: save the program as .json', 'PICKLE_REFUSED');
    return undefined;
  }
  if (given instanceof JsonError) {
    checks.add('state', given.message, given.reason);
    return undefined;
  }
  if (!isObject(given)) {
    checks.add('state', 'must be a JSON object');
    return undefined;
  }
  const unstorable = findUnstorableText(given, 'state');
  if (unstorable !== undefined)
    checks.add(unstorable, 'must not hold \\u0000 or half a surrogate pair', 'TEXT_INVALID');
  if (Buffer.byteLength(writeJson(given)) > stateBytesMax) {
    checks.add('state', `must have at most ${stateBytesMax} bytes`, 'TOO_LONG');
  }
  return given;
}

function configure(
  newest: Configuration,
  module: string,
  predictor: PredictorState,
  checks: FieldChecks,
): Configuration {
  checks.text(`${predictor.path}.signature.instructions`, predictor.instructions, { max: 20_000 });
  if (predictor.lmOptions !== undefined) checkLmOptions(predictor.lmOptions, checks, `${predictor.path}.lm`);
  const { registered: _, ...rest } = newest;
  const base = module === engineModule(newest) ? newest : { ...rest, module, moduleConfig: {} };
  return { ...base, instructions: predictor.instructions, lmOptions: predictor.lmOptions ?? newest.lmOptions };
}

/** The program's snapshot of its signature, with the descriptions of the state. */
function describe(
  signature: Signature,
  { module, instructions }: Configuration,
  predictor: PredictorState,
  checks: FieldChecks,
): Signature {
  const parsed = readSpec(signature.spec, signature.mlTypes);
  const inputCount = parsed.inputs.length;
  const extra = module === 'chain_of_thought' ? 1 : 0;
  const path = `${predictor.path}.signature.fields`;
  const { descriptions } = predictor;
  const expected = inputCount + extra + parsed.outputs.length;
  if (descriptions.length !== expected) {
    checks.add(
      path,
      `must have ${expected} entries, as the ${module} of this signature has, not ${descriptions.length}`,
    );
    return signature;
  }
  // The reasoning of a chain of thought stands between inputs and outputs; no signature says anything about it.
  if (extra > 0 && descriptions[inputCount] !== `\${reasoning}` && descriptions[inputCount] !== '') {
    checks.add(`${path}[${inputCount}].description`, `must be \${reasoning}: that of the reasoning cannot be changed`);
  }
  const withText = (field: Field, text: string): Field => {
    const { description: _, ...rest } = field;
    // DSPy writes the name in this form where nothing was said.
    return text === '' || text === `\${${field.name}}` ? rest : { ...rest, description: text };
  };
  const spec = {
    inputs: parsed.inputs.map((field, at) => withText(field, descriptions[at]!)),
    outputs: parsed.outputs.map((field, at) => withText(field, descriptions[inputCount + extra + at]!)),
  };
  if (Buffer.byteLength(printSpec(spec)) > specBytesMax) {
    checks.add(path, `the descriptions make the signature longer than ${specBytesMax} bytes`, 'TOO_LONG');
    return signature;
  }
  if (instructions === '')
    checks.add(
      `${predictor.path}.signature.instructions`,
      `must not be empty; DSPy's own are: ${defaultInstructions(parsed)}`,
    );
  return { ...signature, ...specColumns(spec) };
}
