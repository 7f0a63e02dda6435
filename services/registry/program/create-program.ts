import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { mlTypeNames } from '@signet/signature/types.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { requireLanguageModel } from '../language-model/read-language-models.ts';
import type { LanguageModelStore } from '../language-model/store.postgres.ts';
import { moduleNames } from '../module/module-names.ts';
import type { ModuleStore } from '../module/store.postgres.ts';
import { getOptimizer } from '../optimizer/read-optimizers.ts';
import type { OptimizerStore } from '../optimizer/store.postgres.ts';
import { chooseParser } from '../signature/choose-parser.ts';
import { findOrCreateByModule, findOrCreateBySpec } from '../signature/find-or-create-signature.ts';
import { readSpec, refuseDeprecated, type Signature, signatureNotFound } from '../signature/signature.ts';
import type { ModuleDeps } from '../signature/signature-modules.ts';
import { beginOptimized } from './begin-optimized.ts';
import { checkConfiguration, checkDemos, type GivenConfiguration } from './check-configuration.ts';
import type { AdapterType, Program, ProgramView } from './program.ts';
import { deriveSlug, isSlug } from './slug.ts';
import { type NewProgram, type ProgramStore, slugTaken } from './store.postgres.ts';
import type { NewVersion } from './versions.postgres.ts';

/** What making programs needs. */
export type ProgramDeps = ModuleDeps & {
  readonly programs: ProgramStore;
  readonly modules: ModuleStore;
  readonly languageModels: LanguageModelStore;
  readonly optimizers: OptimizerStore;
};

/** A new program; exactly one of `signature`, `signatureSpec` and `signatureModule` is not empty. */
export type CreateProgramInput = {
  readonly name: string;
  readonly slug: string;
  readonly description: string;
  readonly signature: string;
  readonly signatureSpec: string;
  readonly signatureModule: string;
  /** Which parser reads `signatureSpec`; empty means the configured one. */
  readonly signatureParser: string;
  /** Undefined for a value that nobody knows. */
  readonly adapterType: AdapterType | undefined;
  readonly configuration: GivenConfiguration;
  readonly variables: JsonRecord | undefined;
  readonly labels: Record<string, string>;
  /** Id or slug of its optimizer; empty means none. */
  readonly optimizer?: string | undefined;
};

/**
 * Makes a program, DRAFT, with its version 1, and its signature if there is none yet. Fails with INVALID_REQUEST, SIGNATURE_SYNTAX,
 * SIGNATURE_TYPE, SIGNATURE_NOT_FOUND, SIGNATURE_DEPRECATED, MODULE_INVALID, LM_NOT_FOUND, OPTIMIZER_NOT_FOUND, and NAME_TAKEN for a given slug.
 */
export async function createProgram(deps: ProgramDeps, input: CreateProgramInput): Promise<ProgramView> {
  const checks = new FieldChecks();
  checkPlainFields(input, checks);
  const configuration = await checkConfiguration(moduleNames(deps), input.configuration, checks);
  checks.done();
  await requireLanguageModel(deps, configuration.lm, 'configuration.lm');
  const optimizer = input.optimizer ? await getOptimizer(deps, input.optimizer, 'optimizer') : undefined;
  const signature = await chooseSignature(deps, input);
  const demos = checkDemos(input.configuration.demos, signature, checks);
  checks.done();
  const first = beginOptimized({ signature, configuration, demos });
  const program = await insertProgram(
    deps,
    {
      slug: input.slug,
      name: input.name,
      description: input.description,
      adapterType: input.adapterType ?? 'python_port',
      signature,
      signatureModule: signature.module,
      variables: input.variables ?? {},
      labels: input.labels,
      ...(optimizer === undefined ? {} : { optimizerId: optimizer.id }),
    },
    { ...first, source: 'create' },
  );
  return { program, configuration: first.configuration, demos: first.demos, pipelineSpec: '', modules: [] };
}

/** Stores a new program under its slug, or under one made from its name; NAME_TAKEN if a given one is taken. */
export async function insertProgram(
  deps: { readonly programs: ProgramStore },
  program: NewProgram,
  version: NewVersion,
): Promise<Program> {
  if (program.slug !== '') {
    const made = await deps.programs.create(program, version);
    if (made === undefined) throw slugTaken(program.slug);
    return made;
  }
  const base = deriveSlug(program.name);
  // Only one whose slug was given can come between, as those of one base wait for each other.
  for (let attempt = 0; attempt < 5; attempt++) {
    const slug = await deps.programs.nextSlug(base);
    const made = await deps.programs.create({ ...program, slug }, version);
    if (made !== undefined) return made;
  }
  throw new AppError('WRITE_CONFLICT', 'No free slug was found; try again');
}

function checkPlainFields(input: CreateProgramInput, checks: FieldChecks): void {
  checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (input.slug !== '' && !isSlug(input.slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', input.description, { max: 10_000 });
  if (input.adapterType === undefined) checks.add('adapter_type', 'is not a known value', 'UNKNOWN_VALUE');
  checks.json('variables', input.variables);
  checks.labels('labels', input.labels);
  const given = [input.signature, input.signatureSpec, input.signatureModule].filter((text) => text !== '').length;
  if (given === 0) checks.add('signature', 'is required: signature, signature_spec or signature_module', 'REQUIRED');
  if (given > 1) {
    checks.add('signature', 'give exactly one of signature, signature_spec and signature_module', 'AMBIGUOUS');
  }
}

/** Finds or makes the signature that a request names in one of three ways. */
export async function chooseSignature(
  deps: ProgramDeps,
  input: Pick<CreateProgramInput, 'signature' | 'signatureSpec' | 'signatureModule'> & {
    readonly signatureParser?: string;
  },
): Promise<Signature> {
  if (input.signature !== '') {
    if (!input.signature.isWellFormed() || input.signature.includes('\0')) {
      throw invalidField('signature', 'must not hold \\u0000 or half a surrogate pair', 'TEXT_INVALID');
    }
    const found = await deps.signatures.find(input.signature);
    if (found === undefined) throw signatureNotFound(input.signature);
    refuseDeprecated(found);
    return found;
  }
  if (input.signatureModule !== '') return (await findOrCreateByModule(deps, input.signatureModule)).signature;
  const parser = chooseParser(deps, input.signatureParser ?? '', 'signature_parser');
  const parsed = readSpec(input.signatureSpec, mlTypeNames, 'signature_spec', parser);
  return (await findOrCreateBySpec(deps, parsed, {})).signature;
}
