import { AppError } from '@signet/kit/error/app-error.ts';
import { FieldChecks, type JsonRecord } from '../check/field-checks.ts';
import type { Module } from '../module/module.ts';
import { insertProgram } from './create-program.ts';
import type { PipelineDeps } from './pipeline-known.ts';
import { checkPipeline } from './pipeline-version.ts';
import type { AdapterType, ProgramView } from './program.ts';
import { isSlug } from './slug.ts';
import type { ProgramStore } from './store.postgres.ts';

/** A new program that runs a pipeline. */
export type ComposeProgramInput = {
  /** Empty for one made of the modules' names. */
  readonly name: string;
  readonly slug: string;
  readonly description: string;
  /** Ids or names. */
  readonly modules: readonly string[];
  readonly pipelineSpec: JsonRecord | undefined;
  /** Undefined for a value that nobody knows. */
  readonly adapterType: AdapterType | undefined;
  readonly variables: JsonRecord | undefined;
  readonly labels: Record<string, string>;
};

/** What composing needs. */
export type ComposeDeps = PipelineDeps & { readonly programs: ProgramStore };

const modulesMax = 100;

/**
 * Makes a program, DRAFT, that runs a pipeline, with its version 1. Fails with INVALID_REQUEST, MODULE_NOT_FOUND (which names all that are
 * missing), PIPELINE_INVALID (with all that is wrong), and NAME_TAKEN for a given slug.
 */
export async function composeProgram(deps: ComposeDeps, input: ComposeProgramInput): Promise<ProgramView> {
  checkFields(input);
  const given = await findModules(deps, input.modules);
  const version = await checkPipeline(deps, input.pipelineSpec, given);
  const program = await insertProgram(
    deps,
    {
      slug: input.slug,
      name: input.name.trim() === '' ? defaultName(given, version.pipeline.modules.length) : input.name,
      description: input.description,
      adapterType: input.adapterType ?? 'python_port',
      signatureModule: '',
      variables: input.variables ?? {},
      labels: input.labels,
    },
    { ...version, source: 'create' },
  );
  return deps.programs.view(program);
}

function checkFields(input: ComposeProgramInput): void {
  const checks = new FieldChecks();
  checks.text('name', input.name, { max: 200, oneLine: true });
  if (input.slug !== '' && !isSlug(input.slug)) checks.add('slug', 'must match ^[a-z][a-z0-9-]{0,62}$', 'SLUG');
  checks.text('description', input.description, { max: 10_000 });
  if (input.adapterType === undefined) checks.add('adapter_type', 'is not a known value', 'UNKNOWN_VALUE');
  checks.json('variables', input.variables);
  checks.labels('labels', input.labels);
  if (input.modules.length === 0) checks.add('modules', 'is required: at least one module', 'REQUIRED');
  if (input.modules.length > modulesMax) checks.add('modules', `must have at most ${modulesMax} entries`, 'TOO_MANY');
  if (input.pipelineSpec === undefined) checks.add('pipeline_spec', 'is required', 'REQUIRED');
  checks.done();
}

async function findModules(deps: Pick<PipelineDeps, 'modules'>, named: readonly string[]): Promise<Module[]> {
  const modules = await deps.modules.findAll(named);
  const found = new Map<string, Module>();
  const missing: string[] = [];
  for (const name of named) {
    const module = modules.find((one) => one.id === name.toLowerCase() || one.name === name);
    if (module === undefined) missing.push(name);
    else found.set(module.id, module);
  }
  if (missing.length === 0) return [...found.values()];
  const list = missing.map((name) => name.slice(0, 130).toWellFormed().replaceAll('\0', '')).join(', ');
  throw new AppError('MODULE_NOT_FOUND', `There ${missing.length === 1 ? 'is no module' : 'are no modules'} ${list}`, {
    metadata: { resource: list },
    fieldViolations: named.flatMap((name, index) =>
      missing.includes(name)
        ? [{ field: `modules[${index}]`, reason: 'MODULE_NOT_FOUND', description: 'there is no such module' }]
        : [],
    ),
  });
}

function defaultName([first]: readonly Module[], count: number): string {
  return `Pipeline - ${first?.name}${count > 1 ? ` +${count - 1}` : ''}`;
}
