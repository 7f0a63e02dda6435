import type { GrpcPeer, OutgoingContext } from '@signet/kit/grpc/client.ts';
import {
  type AddExamplesRequest,
  DatasetInternalServiceService as datasets,
  type NewExample,
} from '@signet/proto/gen/signet/internal/v1/dataset.ts';
import { RegistryInternalServiceService as methods } from '@signet/proto/gen/signet/internal/v1/registry.ts';
import { DuplicatePolicy, FaultPolicy, ImportSource, Split } from '@signet/proto/gen/signet/v1/dataset.ts';
import { DatasetServiceService } from '@signet/proto/gen/signet/v1/dataset_service.ts';
import { OptimizerType } from '@signet/proto/gen/signet/v1/optimizer.ts';
import type { ResolvedProgram } from '../catalog/registry.grpc.ts';
import type { OptimizerKind, SplitName } from './optimization.ts';

/** An optimizer with the settings for one job. */
export type ResolvedOptimizer = {
  /** Empty for a kind alone. */
  readonly id: string;
  readonly kind: OptimizerKind;
  readonly config: Readonly<Record<string, unknown>>;
  /** What is found in its settings for what a request leaves out. */
  readonly jobDefaults: Readonly<Record<string, unknown>>;
};

/** A program that a job holds. */
export type BegunOptimization = { readonly fencingToken: bigint; readonly program: ResolvedProgram };

/** Where a version that a job made comes from. */
export type JobLineage = {
  readonly jobId: string;
  readonly optimizerId: string;
  readonly optimizerType: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly datasetId: string;
  readonly datasetVersion: number;
};

/** How a job ends for its program. */
export type FinishedOptimization = {
  readonly programId: string;
  readonly fencingToken: bigint;
  readonly jobId: string;
  readonly history: Readonly<Record<string, unknown>>;
  /** 0 if none was made. */
  readonly version: number;
  readonly scoreBefore: number | undefined;
  readonly scoreAfter: number | undefined;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly optimizerId: string;
  readonly optimizerState: Readonly<Record<string, unknown>>;
};

/** A row that came with a request; the texts are JSON objects. */
export type GivenExample = { readonly inputsJson: string; readonly outputsJson: string; readonly split: SplitName };

/** What optimization jobs ask of the registry. Failures come as AppError. */
export type OptimizationRegistry = {
  resolveOptimizer(
    input: {
      readonly optimizer: string;
      readonly type: OptimizerKind | undefined;
      readonly config: Record<string, unknown> | undefined;
      readonly program: string;
    },
    ctx: OutgoingContext,
  ): Promise<ResolvedOptimizer>;
  begin(program: string, jobId: string, version: number, ctx: OutgoingContext): Promise<BegunOptimization>;
  /** Gives the jobs that hold their program no longer. */
  renew(
    held: readonly { readonly programId: string; readonly fencingToken: bigint; readonly jobId: string }[],
    ctx: OutgoingContext,
  ): Promise<readonly string[]>;
  addVersion(
    held: { readonly programId: string; readonly fencingToken: bigint; readonly baseVersion: number },
    stateJson: string,
    lineage: JobLineage,
    ctx: OutgoingContext,
  ): Promise<ResolvedProgram>;
  finish(end: FinishedOptimization, ctx: OutgoingContext): Promise<void>;
  /** Keeps rows that came with a request as a dataset of their own; gives it and its version. */
  keepExamples(
    input: { readonly slug: string; readonly program: string; readonly version: number },
    rows: readonly GivenExample[],
    ctx: OutgoingContext,
  ): Promise<string>;
  /** Forgets a dataset that was made so; what runs over it goes on. */
  forgetExamples(datasetId: string, ctx: OutgoingContext): Promise<void>;
};

const rowsPerMessage = 500;
const bytesPerMessage = 2 * 1024 * 1024;

/** Makes the client over a channel to the registry. */
export function createOptimizationRegistry(peer: GrpcPeer): OptimizationRegistry {
  const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
  const forget = async (dataset: string, ctx: OutgoingContext): Promise<void> => {
    await peer.unary(DatasetServiceService.deleteDataset, { dataset, etag: '', requestId: '' }, ctx);
  };
  return {
    async resolveOptimizer(input, ctx) {
      const type = input.type === undefined ? OptimizerType.OPTIMIZER_TYPE_UNSPECIFIED : wireKinds[input.type];
      const found = await peer.unary(methods.resolveOptimizer, { ...input, type }, ctx);
      return {
        id: found.id,
        kind: fromWireKind(found.type) ?? 'custom',
        config: found.config ?? {},
        jobDefaults: found.jobDefaults ?? {},
      };
    },
    async begin(program, jobId, version, ctx) {
      const { fencingToken, program: resolved } = await peer.unary(
        methods.beginOptimize,
        { program, jobId, version },
        ctx,
      );
      return { fencingToken, program: resolved! };
    },
    async renew(held, ctx) {
      const { lostJobIds } = await peer.unary(methods.renewOptimizations, { held: [...held] }, ctx);
      return lostJobIds;
    },
    addVersion(held, stateJson, lineage, ctx) {
      const request = {
        ...held,
        stateJson: Buffer.from(stateJson),
        lineage: { ...lineage, config: { ...lineage.config } },
      };
      return peer.unary(methods.addOptimizedVersion, request, ctx);
    },
    async finish({ history, variables, optimizerState, ...end }, ctx) {
      const texts = {
        historyJson: json(history),
        variablesJson: json(variables),
        optimizerStateJson: json(optimizerState),
      };
      await peer.unary(methods.finishOptimize, { ...end, ...texts }, ctx);
    },
    async keepExamples({ slug, program, version }, rows, ctx) {
      const description = 'Examples that came with an optimization.';
      const made = { slug, name: slug, description, program, version, labels: {} };
      const { datasetId } = await peer.unary(datasets.ensureDataset, made, ctx);
      try {
        await peer.upload(datasets.addExamples, messagesOf(datasetId, rows), ctx);
      } catch (error) {
        await forget(datasetId, ctx).catch(() => {});
        throw error;
      }
      return datasetId;
    },
    forgetExamples: forget,
  };
}

async function* messagesOf(dataset: string, rows: readonly GivenExample[]): AsyncGenerator<AddExamplesRequest> {
  const message = (batch: NewExample[]): AddExamplesRequest => ({
    ...{
      dataset,
      split: Split.SPLIT_TRAIN,
      ratios: undefined,
      seed: 0n,
      note: '',
      rows: batch,
      replaceAll: false,
      bestFirst: false,
    },
    duplicates: DuplicatePolicy.DUPLICATE_POLICY_SKIP,
    onError: FaultPolicy.FAULT_POLICY_ALL_OR_NOTHING,
    source: ImportSource.IMPORT_SOURCE_SERVICE,
  });
  let batch: NewExample[] = [];
  let sizeBytes = 0;
  for (const { inputsJson, outputsJson, split } of rows) {
    batch.push({
      ...{ inputsJson: Buffer.from(inputsJson), outputsJson: Buffer.from(outputsJson), split: wireSplits[split] },
      ...{ weight: 0, label: '', sourceExecutionId: '' },
    });
    sizeBytes += inputsJson.length + outputsJson.length;
    if (batch.length < rowsPerMessage && sizeBytes < bytesPerMessage) continue;
    yield message(batch);
    batch = [];
    sizeBytes = 0;
  }
  yield message(batch);
}

const wireSplits: Readonly<Record<SplitName, Split>> = {
  train: Split.SPLIT_TRAIN,
  validation: Split.SPLIT_VALIDATION,
  test: Split.SPLIT_TEST,
};

const wireKinds: Readonly<Record<OptimizerKind, OptimizerType>> = {
  labeled_few_shot: OptimizerType.OPTIMIZER_TYPE_LABELED_FEW_SHOT,
  bootstrap: OptimizerType.OPTIMIZER_TYPE_BOOTSTRAP,
  random_search: OptimizerType.OPTIMIZER_TYPE_RANDOM_SEARCH,
  copro: OptimizerType.OPTIMIZER_TYPE_COPRO,
  mipro: OptimizerType.OPTIMIZER_TYPE_MIPRO,
  simba: OptimizerType.OPTIMIZER_TYPE_SIMBA,
  gepa: OptimizerType.OPTIMIZER_TYPE_GEPA,
  infer_rules: OptimizerType.OPTIMIZER_TYPE_INFER_RULES,
  beacon: OptimizerType.OPTIMIZER_TYPE_BEACON,
  custom: OptimizerType.OPTIMIZER_TYPE_CUSTOM,
};

/** A kind of optimizer on the wire. */
export function toWireKind(kind: OptimizerKind): OptimizerType {
  return wireKinds[kind];
}

/** Reads a kind of optimizer; undefined if nothing is said, null for a value that nobody knows. */
export function fromWireKind(type: OptimizerType): OptimizerKind | undefined | null {
  if (type === OptimizerType.OPTIMIZER_TYPE_UNSPECIFIED) return undefined;
  return (Object.keys(wireKinds) as OptimizerKind[]).find((kind) => wireKinds[kind] === type) ?? null;
}
