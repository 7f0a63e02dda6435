import type { CallContext } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { newId } from '@signet/kit/id.ts';
import type { DatasetClient, Split } from '../dataset/datasets.grpc.ts';
import type { RunOptions } from '../execution/execution.ts';
import { labelsText } from '../runtime/call-input.ts';
import { type CallPlan, type PlanDeps, planCall } from '../runtime/plan-call.ts';
import { type Batch, concurrencyOf, onVersion, requireName, requireNoShadow } from './batch.ts';
import type { BatchStore, NewBatch } from './store.postgres.ts';

/** What making a batch needs. */
export type CreateBatchDeps = PlanDeps & {
  readonly batches: BatchStore;
  readonly datasets: DatasetClient;
  readonly batchRunner: { wake(): void };
};

/** What is said of a batch, whatever its items come from. */
export type BatchInputSettings = {
  /** Id or slug. */
  readonly program: string;
  readonly name: string;
  readonly options: RunOptions;
  /** 0 means 32. */
  readonly concurrency: number;
  readonly keepValidRows: boolean;
  readonly labels: Readonly<Record<string, string>>;
};

/** A batch over a dataset. */
export type CreateBatchInput = BatchInputSettings & {
  /** Id or slug. */
  readonly dataset: string;
  /** 0 means the newest. */
  readonly datasetVersion: number;
  readonly splits: readonly Split[];
};

/** Makes a batch of the examples of a dataset, which are read afterwards by whichever executor has time. */
export async function createBatch(deps: CreateBatchDeps, input: CreateBatchInput, ctx: CallContext): Promise<Batch> {
  const { batch } = await prepareBatch(deps, input, ctx);
  if (input.dataset === '') throw invalidField('dataset', 'is required', 'REQUIRED');
  if (input.datasetVersion < 0) throw invalidField('dataset_version', 'must not be negative', 'NEGATIVE');
  const { id, version } = await deps.datasets.resolve(input.dataset, input.datasetVersion, ctx);
  if (version === 0) throw invalidField('dataset', 'holds no examples yet');
  await deps.batches.create({ ...batch, dataset: { id, version, splits: [...new Set(input.splits)] } });
  deps.batchRunner.wake();
  return deps.batches.get(batch.id);
}

/** Checks what is said of a batch and plans it; refuses what no item could do. */
export async function prepareBatch(
  deps: PlanDeps,
  input: BatchInputSettings,
  ctx: CallContext,
): Promise<{ readonly batch: NewBatch; readonly plan: CallPlan }> {
  if (input.program === '') throw invalidField('program', 'is required', 'REQUIRED');
  requireName(input.name);
  requireNoShadow(input.options);
  const concurrency = concurrencyOf(input.concurrency);
  const id = newId();
  // Each execution gets one more, its batch's id.
  labelsText({ ...input.labels, batch: id });
  if ('batch' in input.labels) throw invalidField('labels.batch', 'is set by the service');
  const { program, options, labels, name, keepValidRows } = input;
  const plan = await planCall(deps, { program, options, labels, metadata: undefined }, ctx, true);
  const batch = {
    ...{ id, name, keepValidRows, concurrency, labels },
    options: onVersion(options, plan.program.version),
    programId: plan.program.id,
    slug: plan.program.slug,
    version: plan.program.version,
    keyId: ctx.principal?.keyId ?? '',
  };
  return { batch, plan };
}
