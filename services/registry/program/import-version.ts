import { invariant } from '@signet/kit/error/app-error.ts';
import { findUnstorableText, isObject, JsonError, type JsonObject } from '@signet/signature/json.ts';
import { printSpec } from '@signet/signature/print.ts';
import type { Field } from '@signet/signature/types.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import { requireEtag } from '../check/etag.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { readSpec, type Signature, specColumns } from '../signature/signature.ts';
import { checkDemos, checkLmOptions, type GivenPayload } from './check-configuration.ts';
import { defaultInstructions, type PredictorState, readState } from './dspy-state.ts';
import {
  type Configuration,
  type Program,
  type ProgramVersion,
  programNotFound,
  stateForbids,
  versionNotFound,
} from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

const specBytesMax = 8_192;
const stateBytesMax = 4 * 1024 * 1024;

/** A saved DSPy program for a program. */
export type ImportVersionInput = {
  readonly program: string;
  readonly state: GivenPayload | 'pickle';
  /** `predict` or `chain_of_thought`; empty means the module of the newest version. */
  readonly module: string;
  readonly etag: string;
};

/**
 * Makes a new version out of what DSPy saved; the state itself is kept as it is. What decides a prompt is taken over (instructions,
 * descriptions, demos, options of the language model) or refused with its path, never left out in silence. Fails with PROGRAM_NOT_FOUND,
 * ETAG_MISMATCH, INVALID_REQUEST, and STATE_FORBIDS for archived programs.
 */
export async function importProgramVersion(
  deps: { readonly programs: ProgramStore },
  input: ImportVersionInput,
): Promise<{ readonly program: Program; readonly version: ProgramVersion }> {
  const checks = new FieldChecks();
  const state = checkState(input.state, checks);
  const predictor = state && readState(state, checks);
  checks.done();
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  requireEtag(program, input.etag);
  if (program.status === 'archived') {
    throw stateForbids('Archived programs cannot be updated', program.status, 'update');
  }
  const newest = await deps.programs.version(program.id, program.latestVersion);
  if (newest === undefined) throw versionNotFound(program.id, program.latestVersion);
  invariant(state !== undefined && predictor !== undefined, 'a state without faults was not read');
  const configuration = configure(newest.configuration, input.module, predictor, checks);
  const signature = describe(newest.signature, configuration, predictor, checks);
  const demos = checkDemos(predictor.demos, signature, checks, `${predictor.path}.demos`);
  checks.done();
  const added = { signature, configuration, demos, source: 'import' as const, dspyState: writeJson(state) };
  const latestVersion = await deps.programs.addVersion(program, added);
  const changed = await deps.programs.change(program, { latestVersion });
  const version = await deps.programs.version(program.id, latestVersion);
  invariant(version !== undefined, 'a version that was just written is gone');
  return { program: changed, version };
}

function checkState(given: GivenPayload | 'pickle', checks: FieldChecks): JsonObject | undefined {
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
  asked: string,
  predictor: PredictorState,
  checks: FieldChecks,
): Configuration {
  const module = asked || newest.module;
  if (module !== 'predict' && module !== 'chain_of_thought') {
    checks.add(
      'module',
      `must be predict or chain_of_thought, not ${module.slice(0, 100)}: others have no state that can be imported`,
    );
  }
  checks.text(`${predictor.path}.signature.instructions`, predictor.instructions, { max: 20_000 });
  if (predictor.lmOptions !== undefined) checkLmOptions(predictor.lmOptions, checks, `${predictor.path}.lm`);
  const { registered: _, ...rest } = newest;
  return {
    ...rest,
    module,
    moduleConfig: {},
    instructions: predictor.instructions,
    lmOptions: predictor.lmOptions ?? newest.lmOptions,
  };
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
