import { requireEtag } from '../check/etag.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { requireLanguageModel } from '../language-model/read-language-models.ts';
import { moduleNames } from '../module/module-names.ts';
import { checkConfiguration, checkDemos, type GivenConfiguration } from './check-configuration.ts';
import type { ProgramDeps } from './create-program.ts';
import {
  type Configuration,
  type Program,
  type ProgramView,
  programNotFound,
  stateForbids,
  versionNotFound,
} from './program.ts';
import { isSlug } from './slug.ts';
import type { ProgramChanges, ProgramStore } from './store.postgres.ts';

/** The fields of a program that an update may change. */
export type ProgramField = 'name' | 'slug' | 'description' | 'configuration' | 'variables' | 'labels';

const fields: MaskFields<ProgramField> = {
  settable: ['name', 'slug', 'description', 'configuration', 'variables', 'labels'],
  outputOnly: [
    'id',
    'status',
    'adapter_type',
    'signature_id',
    'signature_module',
    'optimization_history',
    'dspy_program_id',
    'error_message',
    'serving_version',
    'latest_version',
    'create_time',
    'update_time',
  ],
};

/** Changes of a program; `set` are the fields that stand in the request. */
export type UpdateProgramInput = {
  readonly program: string;
  readonly etag: string;
  readonly updateMask: readonly string[] | undefined;
  readonly set: readonly ProgramField[];
  readonly name: string;
  readonly slug: string;
  readonly description: string;
  readonly configuration: GivenConfiguration;
  readonly variables: JsonRecord | undefined;
  readonly labels: Record<string, string>;
};

/**
 * Changes a program. A new configuration makes a new version, which serves only once it was prepared; versions never change. Fails with
 * PROGRAM_NOT_FOUND, ETAG_MISMATCH, NAME_TAKEN, INVALID_REQUEST, MODULE_INVALID, LM_NOT_FOUND, and STATE_FORBIDS for archived ones.
 */
export async function updateProgram(
  deps: Omit<ProgramDeps, 'definitions' | 'signatureParser'>,
  input: UpdateProgramInput,
): Promise<ProgramView> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const checks = new FieldChecks();
  if (named.has('name')) checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (named.has('slug') && !isSlug(input.slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', input.description, { max: 10_000 });
  checks.json('variables', input.variables);
  checks.labels('labels', input.labels);
  const configuration = named.has('configuration')
    ? await checkConfiguration(moduleNames(deps), input.configuration, checks)
    : undefined;
  checks.done();
  const program = await deps.programs.lock(input.program);
  if (program === undefined) throw programNotFound(input.program);
  requireEtag(program, input.etag);
  if (program.status === 'archived') {
    throw stateForbids('Archived programs cannot be updated', program.status, 'update');
  }
  if (configuration !== undefined) await requireLanguageModel(deps, configuration.lm, 'configuration.lm');
  if (named.size === 0) return deps.programs.view(program);
  const changes: ProgramChanges = {
    ...(named.has('name') ? { name: input.name } : {}),
    ...(named.has('slug') ? { slug: input.slug } : {}),
    ...(named.has('description') ? { description: input.description } : {}),
    ...(named.has('variables') ? { variables: input.variables ?? {} } : {}),
    ...(named.has('labels') ? { labels: input.labels } : {}),
    ...(configuration === undefined ? {} : { latestVersion: await addVersion(deps, program, input, configuration) }),
  };
  return deps.programs.view(await deps.programs.change(program, changes));
}

async function addVersion(
  deps: { readonly programs: ProgramStore },
  program: Program,
  input: UpdateProgramInput,
  configuration: Configuration,
): Promise<number> {
  const newest = await deps.programs.version(program.id, program.latestVersion);
  if (newest === undefined) throw versionNotFound(program.id, program.latestVersion);
  const { signature } = newest;
  const checks = new FieldChecks();
  const demos = checkDemos(input.configuration.demos, signature, checks);
  checks.done();
  return deps.programs.addVersion(program, { signature, configuration, demos, source: 'update' });
}
