import { createHash } from 'node:crypto';
import { mlTypeNames } from '@signet/signature/types.ts';
import { FieldChecks } from '../check/field-checks.ts';
import { requireLanguageModel } from '../language-model/read-language-models.ts';
import { findOrCreateByModule, findOrCreateBySpec } from '../signature/find-or-create-signature.ts';
import { readSpec, refuseDeprecated, type Signature } from '../signature/signature.ts';
import { insertProgram, type ProgramDeps } from './create-program.ts';
import type { AdapterType, Configuration, Program } from './program.ts';
import { deriveSlug } from './slug.ts';

/** What is to be run, and by which engine; exactly one of the two texts is not empty. */
export type QuickProgramInput = {
  readonly signatureSpec: string;
  readonly signatureModule: string;
  readonly adapterType: AdapterType | undefined;
  /** `predict` (also if empty) or `chain_of_thought`. */
  readonly module?: string;
  /** A language model's slug; empty means the default one. */
  readonly lm?: string;
  /** Empty means the signature's. */
  readonly instructions?: string;
  /** True for a step of a composed program, which goes on by what was made for it when its signature is deprecated later. */
  readonly composed?: boolean;
};

/**
 * Finds or makes the one program by which quick executions of a signature on an engine run. One in ERROR is reset, so that it is tried
 * anew. Fails with SIGNATURE_SYNTAX, SIGNATURE_TYPE, SIGNATURE_DEPRECATED and INVALID_REQUEST.
 */
export async function ensureQuickProgram(deps: ProgramDeps, input: QuickProgramInput): Promise<Program> {
  const checks = new FieldChecks();
  if ((input.signatureSpec === '') === (input.signatureModule === '')) {
    checks.add('signature_spec', 'give exactly one of signature_spec and signature_module', 'REQUIRED');
  }
  if (input.adapterType === undefined) checks.add('engine', 'is not a known value', 'UNKNOWN_VALUE');
  const configuration = {
    ...plain,
    module: input.module || 'predict',
    lm: input.lm ?? '',
    instructions: input.instructions ?? '',
  };
  if (!['predict', 'chain_of_thought'].includes(configuration.module)) {
    checks.add('module', 'must be predict or chain_of_thought');
  }
  checks.done();
  await requireLanguageModel(deps, configuration.lm, 'lm');
  const signature = await chooseSignature(deps, input);
  const adapterType = input.adapterType ?? 'mock';
  const quickKey = `${signature.id}:${adapterType}:${fingerprint(signature)}${settingsKey(configuration)}`;
  const found = await deps.programs.lockQuick(quickKey);
  if (found !== undefined) return found.status === 'error' ? deps.programs.backToDraft(found) : found;
  refuseDeprecated(signature);
  const name = `Quick Execute - ${signature.module}`.slice(0, 200);
  // Callers of one name wait here for each other, so whoever comes second finds the first one's program.
  await deps.programs.nextSlug(deriveSlug(name));
  const made = await deps.programs.lockQuick(quickKey);
  if (made !== undefined) return made;
  const program = {
    slug: '',
    name,
    description: '',
    adapterType,
    signature,
    signatureModule: signature.module,
    variables: {},
    labels: {},
    quickKey,
  };
  return insertProgram(deps, program, { signature, configuration, demos: [], source: 'create' });
}

const plain: Configuration = {
  module: 'predict',
  promptAdapter: 'chat',
  lm: '',
  lmOptions: {},
  instructions: '',
  modules: [],
  metadata: {},
};

async function chooseSignature(deps: ProgramDeps, input: QuickProgramInput): Promise<Signature> {
  if (input.signatureModule !== '') return (await findOrCreateByModule(deps, input.signatureModule)).signature;
  const parsed = readSpec(input.signatureSpec, mlTypeNames, 'signature_spec', deps.signatureParser);
  return (await findOrCreateBySpec(deps, parsed, {}, input.composed)).signature;
}

// A plain one has none, so that it is the program that it was before there were others.
function settingsKey({ module, lm, instructions }: Configuration): string {
  if (module === 'predict' && lm === '' && instructions === '') return '';
  const hash = createHash('sha256').update(JSON.stringify([module, lm, instructions]));
  return `:${hash.digest('hex').slice(0, 16)}`;
}

// A draft signature may be edited: what was prepared for its former fields must not run the new ones.
function fingerprint({ spec, strictMode, mlTypes }: Signature): string {
  return createHash('sha256')
    .update(JSON.stringify([spec, strictMode, mlTypes]))
    .digest('hex')
    .slice(0, 16);
}
