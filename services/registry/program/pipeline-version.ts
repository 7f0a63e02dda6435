import { pipelineInvalid } from '@signet/pipeline/fault.ts';
import type { Pipeline, Step } from '@signet/pipeline/pipeline.ts';
import { readPipeline } from '@signet/pipeline/read-pipeline.ts';
import { writePipeline } from '@signet/pipeline/write-pipeline.ts';
import { JsonError, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { type Field, mlTypeNames } from '@signet/signature/types.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { JsonRecord } from '../check/field-checks.ts';
import { type Module, moduleNotFound } from '../module/module.ts';
import { type Signature, specColumns } from '../signature/signature.ts';
import { lookUpNames, type PipelineDeps } from './pipeline-known.ts';
import type { Configuration } from './program.ts';
import type { NewPipeline, NewVersion } from './versions.postgres.ts';

/** What a version is that runs a pipeline. */
export type PipelineVersion = Omit<NewVersion, 'source'> & { readonly pipeline: NewPipeline };

/**
 * Checks a pipeline's spec and makes of it what its version holds. `given` are the modules that it is said to be made of; those that its
 * steps name besides follow them. Fails with PIPELINE_INVALID and all that is wrong, and with MODULE_NOT_FOUND for one that was
 * deleted meanwhile.
 */
export async function checkPipeline(
  deps: PipelineDeps,
  plain: JsonRecord | undefined,
  given: readonly Module[],
): Promise<PipelineVersion> {
  const spec = readSpec(plain);
  const { pipeline, faults } = readPipeline(spec, await lookUpNames(deps, spec, given));
  if (pipeline === undefined) throw pipelineInvalid(faults);
  const used = pipeline.steps.flatMap(modulesOf);
  const modules = [...new Set([...given.map(({ id }) => id), ...used])];
  const held = await deps.modules.hold(modules);
  const gone = modules.find((id) => !held.has(id));
  if (gone !== undefined) throw moduleNotFound(gone);
  return {
    signature: signatureOf(pipeline),
    configuration,
    demos: [],
    pipeline: { spec: writeJson(spec), json: writeJson(writePipeline(pipeline)), modules },
  };
}

function readSpec(plain: JsonRecord | undefined): JsonValue {
  try {
    return jsonFromPlain(plain ?? {});
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw pipelineInvalid([{ path: 'pipeline_spec', reason: 'INVALID', message: error.message }]);
  }
}

function modulesOf(step: Step): string[] {
  const own = step.kind === 'module' ? [step.moduleId] : step.kind === 'group' ? step.steps.flatMap(modulesOf) : [];
  return [...own, ...[step.compensate, step.undo].flatMap((helper) => (helper === undefined ? [] : modulesOf(helper)))];
}

const configuration: Configuration = {
  module: 'pipeline',
  promptAdapter: 'chat',
  lm: '',
  lmOptions: {},
  instructions: '',
  modules: [],
  metadata: {},
};

/** What a pipeline reads and writes, as a snapshot of a signature that nobody registered. */
function signatureOf({ inputs, outputs }: Pipeline): Signature {
  const taken = new Set(inputs.map(({ name }) => name));
  const areApart = outputs.length > 0 && outputs.every(({ name }) => !taken.has(name));
  const time = new Date(0);
  return {
    ...specColumns({ inputs, outputs: areApart ? outputs : [unknownOutput(taken)] }),
    id: '',
    name: '',
    module: '',
    description: '',
    version: '',
    status: 'active',
    metadata: {},
    strictMode: false,
    mlTypes: [...mlTypeNames],
    labels: {},
    rowVersion: 0,
    createTime: time,
    updateTime: time,
  };
}

function unknownOutput(taken: ReadonlySet<string>): Field {
  const name = ['result', 'output', 'returned'].find((candidate) => !taken.has(candidate)) ?? 'pipeline_result';
  return { name, type: { kind: 'any' }, constraints: [] };
}
