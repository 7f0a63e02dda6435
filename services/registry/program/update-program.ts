import { invalidField } from '@signet/kit/error/app-error.ts';
import { requireEtag } from '../check/etag.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import { type MaskFields, maskedFields } from '../check/update-mask.ts';
import { requireLanguageModel } from '../language-model/read-language-models.ts';
import { moduleNames } from '../module/module-names.ts';
import { getOptimizer } from '../optimizer/read-optimizers.ts';
import { checkConfiguration, checkDemos, type GivenConfiguration } from './check-configuration.ts';
import type { ProgramDeps } from './create-program.ts';
import type { PipelineDeps } from './pipeline-known.ts';
import { checkPipeline } from './pipeline-version.ts';
import { engineModule, isWhole } from './predictor-states.ts';
import {
  type Configuration,
  type Program,
  type ProgramVersion,
  type ProgramView,
  programNotFound,
  stateForbids,
  versionNotFound,
} from './program.ts';
import { checkServingPolicy, requireVersions, type ServingPolicy } from './serving-policy.ts';
import { isSlug } from './slug.ts';
import type { ProgramChanges, ProgramStore } from './store.postgres.ts';

/** The fields of a program that an update may change. */
export type ProgramField =
  | 'name'
  | 'slug'
  | 'description'
  | 'configuration'
  | 'pipeline_spec'
  | 'variables'
  | 'labels'
  | 'serving_policy'
  | 'optimizer';

const fields: MaskFields<ProgramField> = {
  settable: [
    'name',
    'slug',
    'description',
    'configuration',
    'pipeline_spec',
    'variables',
    'labels',
    'optimizer',
    'serving_policy',
  ],
  outputOnly: [
    'id',
    'status',
    'kind',
    'modules',
    'adapter_type',
    'signature_id',
    'signature_module',
    'optimization_history',
    'optimizer_id',
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
  readonly pipelineSpec: JsonRecord | undefined;
  readonly variables: JsonRecord | undefined;
  readonly labels: Record<string, string>;
  readonly servingPolicy: ServingPolicy;
  /** Id or slug; empty means none. */
  readonly optimizer: string;
};

/**
 * Changes a program. A new configuration makes a new version, which serves only once it was prepared; versions never change. Fails with
 * PROGRAM_NOT_FOUND, ETAG_MISMATCH, NAME_TAKEN, INVALID_REQUEST, MODULE_INVALID, LM_NOT_FOUND, OPTIMIZER_NOT_FOUND,
 * PIPELINE_INVALID, VERSION_NOT_FOUND, and STATE_FORBIDS for archived ones.
 */
export async function updateProgram(
  deps: Omit<ProgramDeps, 'definitions' | 'signatureParser'> & PipelineDeps,
  input: UpdateProgramInput,
): Promise<ProgramView> {
  const named = maskedFields(input.updateMask, input.set, fields);
  const checks = new FieldChecks();
  if (named.has('name')) checks.text('name', input.name, { max: 200, required: true, oneLine: true });
  if (named.has('slug') && !isSlug(input.slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', input.description, { max: 10_000 });
  checks.json('variables', input.variables);
  checks.labels('labels', input.labels);
  if (named.has('serving_policy')) checkServingPolicy(input.servingPolicy, checks);
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
  refuseOtherKind(program, named);
  if (configuration !== undefined) await requireLanguageModel(deps, configuration.lm, 'configuration.lm');
  if (named.has('serving_policy')) await requireVersions(deps, program, input.servingPolicy);
  const optimizerId = named.has('optimizer') ? await optimizerIdOf(deps, input.optimizer) : undefined;
  if (named.size === 0) return deps.programs.view(program);
  const changes: ProgramChanges = {
    ...(named.has('name') ? { name: input.name } : {}),
    ...(named.has('slug') ? { slug: input.slug } : {}),
    ...(named.has('description') ? { description: input.description } : {}),
    ...(named.has('variables') ? { variables: input.variables ?? {} } : {}),
    ...(named.has('labels') ? { labels: input.labels } : {}),
    ...(named.has('serving_policy') ? { servingPolicy: input.servingPolicy } : {}),
    ...(optimizerId === undefined ? {} : { optimizerId }),
    ...(configuration === undefined ? {} : { latestVersion: await addVersion(deps, program, input, configuration) }),
    ...(named.has('pipeline_spec') ? { latestVersion: await addPipeline(deps, program, input) } : {}),
  };
  return deps.programs.view(await deps.programs.change(program, changes));
}

function refuseOtherKind(program: Program, named: ReadonlySet<ProgramField>): void {
  if (program.kind === 'pipeline' && named.has('configuration')) {
    throw invalidField('configuration', 'is for programs that run a signature; this one has a pipeline_spec');
  }
  if (program.kind === 'signature' && named.has('pipeline_spec')) {
    throw invalidField('pipeline_spec', 'is for programs that run a pipeline; this one has a configuration');
  }
}

async function addPipeline(
  deps: PipelineDeps & { readonly programs: ProgramStore },
  program: Program,
  { pipelineSpec }: UpdateProgramInput,
): Promise<number> {
  if (pipelineSpec === undefined) throw invalidField('pipeline_spec', 'is required', 'REQUIRED');
  const version = await checkPipeline(deps, pipelineSpec, []);
  const { pipeline } = version;
  // A pipeline that names no module goes on with those that it was composed of.
  const modules = pipeline.modules.length > 0 ? pipeline.modules : (await deps.programs.view(program)).modules;
  return deps.programs.addVersion(program, { ...version, pipeline: { ...pipeline, modules }, source: 'update' });
}

async function optimizerIdOf(deps: Pick<ProgramDeps, 'optimizers'>, named: string): Promise<string | null> {
  return named === '' ? null : (await getOptimizer(deps, named, 'optimizer')).id;
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
  const dspyState = keepsState(newest, configuration, demos) ? newest.dspyState : '';
  return deps.programs.addVersion(program, { signature, configuration, demos, source: 'update', dspyState });
}

// The states of a module's predictors outlive a change of what is around them, such as the language model.
function keepsState(newest: ProgramVersion, configuration: Configuration, demos: readonly string[]): boolean {
  const module = engineModule(configuration);
  const isSame = module === engineModule(newest.configuration);
  return (
    isWhole(module) && isSame && demos.length === 0 && configuration.instructions === newest.configuration.instructions
  );
}
