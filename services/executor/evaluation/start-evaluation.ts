import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import { isId, newId } from '@signet/kit/id.ts';
import { traceIdOf, traceparentOf } from '@signet/kit/telemetry/traceparent.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import { compileProgram, type ServedProgram } from '../catalog/served-program.ts';
import type { DatasetClient, DatasetVersion, Split } from '../dataset/datasets.grpc.ts';
import type { RunOptions } from '../execution/execution.ts';
import { checkMetric, type Metric } from '../metric/metric.ts';
import { labelsText } from '../runtime/call-input.ts';
import type { InitializeDeps } from '../runtime/initialize-program.ts';
import { type PlanDeps, planCall, requireReady } from '../runtime/plan-call.ts';
import { prepareVersion } from '../runtime/prepare-version.ts';
import { type CheckMetricDeps, checkFit } from './check-fit.ts';
import type { Evaluation } from './evaluation.ts';
import type { EvaluationStore } from './store.postgres.ts';

/** What asking for an evaluation needs. */
export type StartDeps = PlanDeps &
  Pick<InitializeDeps, 'engines' | 'registry'> &
  CheckMetricDeps & {
    readonly evaluationStore: EvaluationStore;
    readonly datasets: DatasetClient;
    readonly evaluationRunner: { wake(): void };
  };

/** An evaluation that is asked for. */
export type StartInput = {
  /** Chosen by whoever must find it again; one that stands under it already is given. Absent means a new one. */
  readonly id?: string;
  /** Id or slug. */
  readonly program: string;
  /** 0 means the serving one. */
  readonly version: number;
  /** Id or slug. */
  readonly dataset: string;
  /** 0 means the newest. */
  readonly datasetVersion: number;
  /** True for a part of something that began while the dataset was there. */
  readonly isBegun?: true;
  /** Empty means all. */
  readonly splits: readonly Split[];
  readonly metric: Metric;
  readonly options: RunOptions;
  /** 0 means 8. */
  readonly concurrency: number;
  readonly labels: Readonly<Record<string, string>>;
};

/** Of the call: what is kept of who asked, and within which time it is looked at. */
export type StartContext = LookupContext;

const concurrencyDefault = 8;
const concurrencyMax = 64;

/**
 * Accepts an evaluation: its row is committed when this resolves, and it will be run whatever dies. A version that was not prepared is
 * prepared. Fails with PROGRAM_NOT_FOUND, PROGRAM_NOT_READY, VERSION_NOT_FOUND, DATASET_NOT_FOUND, LM_NOT_FOUND, LM_NOT_CONFIGURED,
 * MODULE_INVALID and INVALID_REQUEST.
 */
export async function startEvaluation(deps: StartDeps, input: StartInput, ctx: StartContext): Promise<Evaluation> {
  checkInput(input);
  const known = input.id === undefined ? undefined : await find(deps, input.id);
  if (known !== undefined) return known;
  const metric = checkMetric(input.metric);
  const program = await findVersion(deps, input, ctx);
  const options = { ...input.options, version: program.version };
  const call = { program: program.id, options, labels: input.labels, metadata: undefined };
  const { lm } = await planCall(deps, call, ctx, true);
  const dataset = await deps.datasets.resolve(input.dataset, input.datasetVersion, ctx);
  if (dataset.isDeleted && !input.isBegun) throw datasetNotFound(input.dataset);
  const exampleCount = countOf(dataset, input.splits);
  await checkFit(deps, { metric, program, dataset, splits: input.splits, programLm: lm }, ctx);
  const { version: _, ...kept } = options;
  const id = input.id ?? newId();
  await deps.evaluationStore.create({
    id,
    programId: program.id,
    slug: program.slug,
    version: program.version,
    datasetId: dataset.id,
    datasetSlug: dataset.slug,
    datasetVersion: dataset.version,
    splits: [...new Set(input.splits)],
    metric,
    options: kept,
    concurrency: input.concurrency || concurrencyDefault,
    labels: input.labels,
    exampleCount,
    keyId: ctx.principal?.keyId ?? '',
    traceId: traceIdOf(ctx.trace),
    traceparent: traceparentOf(ctx.trace),
  });
  deps.evaluationRunner.wake();
  return deps.evaluationStore.get(id);
}

function checkInput({ id, version, datasetVersion, concurrency, labels, options }: StartInput): void {
  if (id !== undefined && !isId(id)) throw invalidField('id', 'must be a UUID');
  if (version < 0) throw invalidField('version', 'must not be negative', 'NEGATIVE');
  if (datasetVersion < 0) throw invalidField('dataset_version', 'must not be negative', 'NEGATIVE');
  if (!(concurrency >= 0 && concurrency <= concurrencyMax)) {
    throw invalidField('concurrency', `must be from 1 to ${concurrencyMax}, or 0 for ${concurrencyDefault}`);
  }
  if (options.version !== undefined)
    throw invalidField('execution_options.version', '`version` says which one', 'NOT_TAKEN');
  if (options.version_label !== undefined)
    throw invalidField('execution_options.version_label', '`version` says which one', 'NOT_TAKEN');
  if (options.shadow !== undefined)
    throw invalidField('execution_options.shadow', 'an evaluation has no shadows', 'NOT_TAKEN');
  labelsText(labels);
  if ('evaluation' in labels) throw invalidField('labels.evaluation', 'is set by the service');
}

async function find({ evaluationStore }: StartDeps, id: string): Promise<Evaluation | undefined> {
  try {
    return await evaluationStore.get(id);
  } catch (error) {
    if (error instanceof AppError && error.reason === 'EVALUATION_NOT_FOUND') return undefined;
    throw error;
  }
}

/** The version that is measured, ready to be run. */
async function findVersion(
  deps: StartDeps,
  { program: name, version }: StartInput,
  ctx: StartContext,
): Promise<ServedProgram> {
  const program = await deps.catalog.resolve(name, version, ctx);
  requireReady(program);
  if (program.version === program.servingVersion || program.isPrepared) return program;
  // What this process remembers may be older than the preparation.
  const fresh = compileProgram(await deps.registry.resolve(program.id, program.version, ctx));
  if (fresh.isPrepared) return fresh;
  await prepareVersion(deps, fresh, ctx);
  return fresh;
}

function countOf({ slug, version, exampleCount, splitCounts }: DatasetVersion, splits: readonly Split[]): number {
  const count =
    splits.length === 0 ? exampleCount : [...new Set(splits)].reduce((sum, split) => sum + splitCounts[split], 0);
  if (count > 0) return count;
  const field = splits.length === 0 ? 'dataset' : 'splits';
  const where = splits.length === 0 ? '' : ` in ${splits.join(' and ')}`;
  throw invalidField(field, `version ${version} of \`${slug}\` has no examples${where}`, 'EMPTY');
}

/** There is no such dataset for callers. */
export function datasetNotFound(name: string): AppError {
  const shown = name.slice(0, 100).toWellFormed();
  return new AppError('DATASET_NOT_FOUND', `There is no dataset \`${shown}\``, { metadata: { resource: shown } });
}
