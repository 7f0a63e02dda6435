import { AppError } from '@signet/kit/error/app-error.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { DatasetClient } from '../dataset/datasets.grpc.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { endpointOf } from '../evaluation/check-fit.ts';
import type { OptimizerExample, OptimizerExamples } from '../sidecar/optimizer-examples.ts';
import type { LmRole } from '../sidecar/optimizer-session.ts';
import type { Job, SplitName } from './optimization.ts';
import type { StepContext } from './run-step.ts';
import { jobContext } from './settle-job.ts';

const examplesBytesMax = 256 * 1024 * 1024;

/** What reading the ground of a job needs. */
export type GroundDeps = { readonly languageModels: LanguageModels; readonly datasets: DatasetClient };

/** Whom the calls of a job's optimizer go to, by what they are meant for. LM_NOT_FOUND and LM_NOT_CONFIGURED. */
export async function endpointsOf(
  deps: GroundDeps,
  job: Job,
  program: ServedProgram,
  ctx: StepContext,
): Promise<Readonly<Record<LmRole, LmEndpoint>>> {
  const within = jobContext(ctx.signal, ctx.trace);
  const task = await deps.languageModels.resolve(program.lm, within);
  const other = async (name: string): Promise<LmEndpoint> => {
    const slug = job.config[name];
    return typeof slug === 'string' && slug !== '' ? deps.languageModels.resolve(slug, within) : task;
  };
  const metric = (await endpointOf(deps, job.metric, task, within)) ?? task;
  return { task, prompt: await other('prompt_lm'), teacher: await other('teacher_lm'), metric };
}

/** The examples of a job, to learn from and to compare by. INVALID_REQUEST if they are larger than memory should hold. */
export async function readExamples(deps: GroundDeps, job: Job, ctx: StepContext): Promise<OptimizerExamples> {
  const read = async (splits: readonly SplitName[]): Promise<OptimizerExample[]> => {
    const found: OptimizerExample[] = [];
    let sizeBytes = 0;
    const query = { dataset: job.datasetId, version: job.datasetVersion, splits };
    for await (const example of deps.datasets.read(query, jobContext(ctx.signal, ctx.trace, 300_000))) {
      const { id, inputsJson, outputsJson } = example;
      sizeBytes += inputsJson.length + outputsJson.length;
      if (sizeBytes > examplesBytesMax)
        throw new AppError('INVALID_REQUEST', 'The examples are larger than 256 MiB together');
      found.push({ id, inputsJson, outputsJson });
    }
    return found;
  };
  const { train, validation } = job.splits;
  return { train: await read(train), val: await read(validation) };
}
