import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { traceIdOf, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { LanguageModels } from '../catalog/language-models.ts';
import type { RegistryClient } from '../catalog/registry.grpc.ts';
import { compileProgram, type ServedProgram } from '../catalog/served-program.ts';
import type { DatasetClient, DatasetVersion } from '../dataset/datasets.grpc.ts';
import type { LmEndpoint } from '../engine/engine.ts';
import { type CheckMetricDeps, checkFit, endpointOf } from '../evaluation/check-fit.ts';
import { datasetNotFound } from '../evaluation/start-evaluation.ts';
import { asksLm } from '../metric/metric.ts';
import { labelsText } from '../runtime/call-input.ts';
import { type GivenRows, keepRows } from './keep-rows.ts';
import { withoutPrices } from './metered-lm.ts';
import { type Job, jobNotFound, type OptimizerKind } from './optimization.ts';
import type { JobQueue } from './queue.ts';
import { chooseSplits, type GivenJob, type JobTerms, readTerms } from './read-request.ts';
import type { OptimizationRegistry, ResolvedOptimizer } from './registry.grpc.ts';
import type { JobStore } from './store.postgres.ts';

/** What asking for a job needs. */
export type OptimizeDeps = CheckMetricDeps & {
  readonly registry: RegistryClient;
  readonly optimizations: OptimizationRegistry;
  readonly languageModels: LanguageModels;
  readonly datasets: DatasetClient;
  readonly jobs: JobStore;
  readonly jobQueue: Pick<JobQueue, 'send'>;
  readonly log: Logger;
};

/** A job that is asked for. */
export type OptimizeProgramInput = GivenJob &
  GivenRows & {
    readonly program: string;
    readonly optimizer: string;
    /** Undefined if nothing was said, null for a value that nobody knows. */
    readonly type: OptimizerKind | undefined | null;
    readonly config: Record<string, unknown> | undefined;
    /** 0 means the one that serves. */
    readonly version: number;
    readonly labels: Readonly<Record<string, string>>;
  };

const examplesMax = 100_000;

/**
 * Queues a job and moves its program to OPTIMIZING, both or none. Fails with PROGRAM_NOT_FOUND, OPTIMIZER_NOT_FOUND, DATASET_NOT_FOUND,
 * VERSION_NOT_FOUND, INVALID_REQUEST, LM_NOT_FOUND, LM_NOT_CONFIGURED, MODULE_INVALID and STATE_FORBIDS.
 */
export async function optimizeProgram(deps: OptimizeDeps, input: OptimizeProgramInput, ctx: CallContext): Promise<Job> {
  if (input.program === '') throw invalidField('program', 'is required', 'REQUIRED');
  if (input.version < 0) throw invalidField('version', 'must not be negative', 'NEGATIVE');
  labelsText(input.labels);
  const program = compileProgram(await deps.registry.resolve(input.program, input.version, ctx));
  requireOptimizable(program);
  const { optimizer, type, config } = input;
  if (type === null) throw invalidField('type', 'is not a known value', 'UNKNOWN_VALUE');
  const resolved = await deps.optimizations.resolveOptimizer({ optimizer, type, config, program: program.id }, ctx);
  const terms = readTerms(input, resolved.jobDefaults);
  const lm = await checkModels(deps, { program, resolved, terms }, ctx);
  const id = newId();
  const dataset = await findDataset(deps, { input, terms, program, id }, ctx);
  try {
    return await queueJob(deps, { input, program, resolved, terms, lm, id, dataset }, ctx);
  } catch (error) {
    // Examples that came with a request are of no use to anybody without its job.
    if (input.trainingData.length > 0) await deps.optimizations.forgetExamples(dataset.id, ctx).catch(() => {});
    throw error;
  }
}

type Asked = {
  readonly input: OptimizeProgramInput;
  readonly program: ServedProgram;
  readonly resolved: ResolvedOptimizer;
  readonly terms: JobTerms;
  readonly lm: LmEndpoint;
  readonly id: string;
  readonly dataset: DatasetVersion;
};

async function queueJob(
  deps: OptimizeDeps,
  { input, program, resolved, terms, lm, id, dataset }: Asked,
  ctx: CallContext,
): Promise<Job> {
  const splits = chooseSplits(terms.splits, dataset.splitCounts);
  const count = [...splits.train, ...splits.validation].reduce((sum, name) => sum + dataset.splitCounts[name], 0);
  if (count > examplesMax)
    throw invalidField('dataset', `has more than ${examplesMax} examples to learn from`, 'TOO_MANY');
  for (const named of [splits.train, splits.test]) {
    await checkFit(deps, { metric: terms.metric, program, dataset, splits: named, programLm: lm }, ctx);
  }
  await deps.jobs.insert({
    ...{ id, programId: program.id, slug: program.slug, baseVersion: program.version },
    ...{ optimizerId: resolved.id, kind: resolved.kind, config: resolved.config },
    ...{ datasetId: dataset.id, datasetVersion: dataset.version, splits },
    ...{ metric: terms.metric, budget: terms.budget, seed: terms.seed, labels: input.labels },
    keyId: ctx.principal?.keyId ?? '',
    ...{ traceparent: traceparentOf(ctx.trace), traceId: traceIdOf(ctx.trace) },
  });
  return beginJob(deps, { id, programId: program.id, baseVersion: program.version }, ctx);
}

/**
 * Gives a job its program and the queue the job. A job that is refused is forgotten. What dies between is found and brought to its end by
 * whoever keeps house.
 */
export async function beginJob(
  deps: Pick<OptimizeDeps, 'optimizations' | 'jobs' | 'jobQueue' | 'log'>,
  { id, programId, baseVersion }: Pick<Job, 'id' | 'programId' | 'baseVersion'>,
  ctx: Parameters<OptimizationRegistry['begin']>[3],
): Promise<Job> {
  try {
    const { fencingToken } = await deps.optimizations.begin(programId, id, baseVersion, ctx);
    await deps.jobs.hold(id, fencingToken);
  } catch (error) {
    const isRefused =
      error instanceof AppError && ['STATE_FORBIDS', 'PROGRAM_NOT_FOUND', 'VERSION_NOT_FOUND'].includes(error.reason);
    if (isRefused) await deps.jobs.forget(id);
    throw error;
  }
  const job = await deps.jobs.get(id);
  if (job === undefined) throw jobNotFound(id);
  // The queue is told again by whoever keeps house, should it not answer now.
  await sendJob(deps, id).catch((error: unknown) => deps.log.warn({ err: error, job_id: id }, 'could not queue a job'));
  return job;
}

/** Hands a job to the queue. */
export async function sendJob(deps: Pick<OptimizeDeps, 'jobs' | 'jobQueue'>, id: string): Promise<void> {
  await deps.jobQueue.send(id);
  await deps.jobs.noteSent(id);
}

function requireOptimizable(program: ServedProgram): void {
  const { state } = program;
  if (state !== 'ready') {
    throw new AppError('STATE_FORBIDS', `Program must be active to optimize (status: ${state})`, {
      metadata: { state, event: 'optimize', program: program.slug },
    });
  }
  if (program.adapterType === 'mock') {
    throw invalidField('program', 'runs on the mock engine, which asks no language model', 'NOT_OPTIMIZABLE');
  }
  if (program.pipeline !== undefined) {
    throw invalidField('program', 'is a pipeline: optimize the modules that it is made of', 'NOT_OPTIMIZABLE');
  }
}

async function checkModels(
  deps: OptimizeDeps,
  { program, resolved, terms }: { program: ServedProgram; resolved: ResolvedOptimizer; terms: JobTerms },
  ctx: CallContext,
): Promise<LmEndpoint> {
  const lm = await deps.languageModels.resolve(program.lm, ctx);
  const asked = [lm];
  for (const name of ['prompt_lm', 'teacher_lm']) {
    const slug = resolved.config[name];
    if (typeof slug === 'string' && slug !== '') asked.push(await deps.languageModels.resolve(slug, ctx));
  }
  const judge = asksLm(terms.metric) ? await endpointOf(deps, terms.metric, lm, ctx) : undefined;
  if (judge !== undefined) asked.push(judge);
  const [unpriced] = terms.budget.usd > 0 ? withoutPrices(asked) : [];
  if (unpriced !== undefined) {
    throw invalidField(
      'budget.usd',
      `needs prices, which the language model \`${unpriced}\` does not have`,
      'NO_PRICES',
    );
  }
  return lm;
}

async function findDataset(
  deps: OptimizeDeps,
  { input, terms, program, id }: { input: OptimizeProgramInput; terms: JobTerms; program: ServedProgram; id: string },
  ctx: CallContext,
): Promise<DatasetVersion> {
  if (input.trainingData.length === 0) {
    if (input.validationData.length > 0)
      throw invalidField('training_data', 'is required beside validation_data', 'REQUIRED');
    if (terms.dataset === '') {
      throw invalidField(
        'dataset',
        'is required: name one here or in the config of the optimizer, or give training_data',
        'REQUIRED',
      );
    }
    const found = await deps.datasets.resolve(terms.dataset, terms.datasetVersion, ctx);
    if (found.isDeleted) throw datasetNotFound(terms.dataset);
    return found;
  }
  if (input.dataset !== '') throw invalidField('training_data', 'goes not with a dataset', 'EXCLUSIVE');
  return keepRows(deps, input, { id, program }, ctx);
}
