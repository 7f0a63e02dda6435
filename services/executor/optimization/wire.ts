import { invalidField } from '@signet/kit/error/app-error.ts';
import { type Split, Split as WireSplit } from '@signet/proto/gen/signet/v1/dataset.ts';
import {
  type OptimizationEvent as WireEvent,
  type OptimizationJob as WireJob,
  type OptimizationSpend as WireSpend,
  OptimizationStatus as WireStatus,
  type OptimizationTrial as WireTrial,
} from '@signet/proto/gen/signet/v1/optimization.ts';
import type { OptimizeProgramRequest } from '@signet/proto/gen/signet/v1/optimization_service.ts';
import { isObject, JsonError, type JsonObject } from '@signet/signature/json.ts';
import { fromPayload } from '../execution/wire.ts';
import { fromWireMetric, toWireMetric } from '../metric/wire.ts';
import { readGiven } from '../runtime/call-input.ts';
import type { Job, JobSpend, JobSplits, JobStatus, SplitName, Trial } from './optimization.ts';
import type { OptimizeProgramInput } from './optimize-program.ts';
import { fromWireKind, toWireKind } from './registry.grpc.ts';
import type { JobEvent } from './watch-job.ts';

const wireStatuses: Readonly<Record<JobStatus, WireStatus>> = {
  queued: WireStatus.OPTIMIZATION_STATUS_QUEUED,
  running: WireStatus.OPTIMIZATION_STATUS_RUNNING,
  completed: WireStatus.OPTIMIZATION_STATUS_COMPLETED,
  failed: WireStatus.OPTIMIZATION_STATUS_FAILED,
  cancelled: WireStatus.OPTIMIZATION_STATUS_CANCELLED,
};
const wireSplits: Readonly<Record<SplitName, WireSplit>> = {
  train: WireSplit.SPLIT_TRAIN,
  validation: WireSplit.SPLIT_VALIDATION,
  test: WireSplit.SPLIT_TEST,
};

/** Writes a job. */
export function toWireJob(job: Job): WireJob {
  const { budget, splits } = job;
  return {
    ...{ id: job.id, programId: job.programId, program: job.slug, baseVersion: job.baseVersion },
    ...{ optimizerId: job.optimizerId, type: toWireKind(job.kind), config: { ...job.config } },
    ...{ status: wireStatuses[job.status], phase: job.phase, attempt: job.attempt, losses: job.losses },
    ...{ datasetId: job.datasetId, datasetVersion: job.datasetVersion },
    splits: { train: toWire(splits.train), validation: toWire(splits.validation), test: toWire(splits.test) },
    metric: toWireMetric(job.metric),
    budget: {
      lmCalls: BigInt(budget.lmCalls),
      tokens: BigInt(budget.tokens),
      usd: budget.usd,
      seconds: BigInt(budget.seconds),
    },
    spend: toWireSpend(job.spend),
    ...{ budgetExhausted: job.budgetExhausted, trialCount: job.trialCount, bestScore: job.bestScore },
    ...{ scoreBefore: job.scoreBefore, scoreAfter: job.scoreAfter },
    ...{ evaluationBefore: job.evaluationBefore, evaluationAfter: job.evaluationAfter },
    ...{ resultVersion: job.resultVersion, fault: job.fault, cancelRequested: job.cancelRequested },
    ...{ labels: { ...job.labels }, traceId: job.traceId, seed: BigInt(job.seed) },
    ...{ createTime: job.createTime, startTime: job.startTime, endTime: job.endTime, updateTime: job.updateTime },
  };
}

/** Writes a candidate. */
export function toWireTrial(trial: Trial): WireTrial {
  const { number, score, note, step, createTime } = trial;
  const predictors = trial.predictors.map((one) => ({ ...one }));
  return {
    number,
    score,
    note,
    step,
    createTime,
    predictors,
    exampleCount: trial.examples,
    full: trial.isFull,
    best: trial.isBest,
  };
}

/** Writes something that happened to a job. */
export function toWireEvent(event: JobEvent): WireEvent {
  const head = { sequence: BigInt(event.sequence) };
  switch (event.kind) {
    case 'job':
      return { ...head, createTime: event.job.updateTime, kind: { $case: 'job', value: toWireJob(event.job) } };
    case 'trial':
      return { ...head, createTime: event.trial.createTime, kind: { $case: 'trial', value: toWireTrial(event.trial) } };
    case 'log': {
      const { level, text, createTime } = event.line;
      return { ...head, createTime, kind: { $case: 'log', value: { level, text } } };
    }
    case 'progress': {
      const { phase, trial, trials, message, at } = event.progress;
      const value = { phase, trial, trialTotal: trials, message, spend: toWireSpend(event.job.spend) };
      return { ...head, createTime: new Date(at), kind: { $case: 'progress', value } };
    }
  }
}

/** Reads a request for a job. INVALID_REQUEST for what cannot be read. */
export function fromOptimize(request: OptimizeProgramRequest): OptimizeProgramInput {
  const { program, optimizer, config, dataset, datasetVersion, splits, metric, budget, version, seed, labels } =
    request;
  return {
    ...{ program, optimizer, config, dataset, datasetVersion, version, labels },
    type: fromWireKind(request.type),
    splits: splits && {
      train: fromWire(splits.train, 'train'),
      validation: fromWire(splits.validation, 'validation'),
      test: fromWire(splits.test, 'test'),
    },
    metric: metric && fromWireMetric(metric),
    budget: budget && {
      lmCalls: Number(budget.lmCalls),
      tokens: Number(budget.tokens),
      usd: budget.usd,
      seconds: Number(budget.seconds),
    },
    seed: seed === undefined ? undefined : Number(seed),
    trainingData: request.trainingData.map((row, at) => rowOf(row, `training_data[${at}]`)),
    validationData: request.validationData.map((row, at) => rowOf(row, `validation_data[${at}]`)),
  };
}

function rowOf(row: Parameters<typeof fromPayload>[0], field: string): JsonObject {
  const { given } = fromPayload(row, field);
  try {
    const value = readGiven(given);
    if (isObject(value)) return value;
  } catch (error) {
    if (error instanceof JsonError) throw invalidField(field, error.message, error.reason);
    throw error;
  }
  throw invalidField(field, 'must be a JSON object');
}

function toWire(splits: readonly SplitName[]): WireSplit[] {
  return splits.map((name) => wireSplits[name]);
}

function fromWire(splits: readonly Split[], of: keyof JobSplits): SplitName[] {
  return splits.map((split, at) => {
    const name = (Object.keys(wireSplits) as SplitName[]).find((one) => wireSplits[one] === split);
    if (name === undefined) throw invalidField(`splits.${of}[${at}]`, 'is not a known value', 'UNKNOWN_VALUE');
    return name;
  });
}

function toWireSpend(spend: JobSpend): WireSpend {
  return {
    lmCalls: BigInt(spend.lmCalls),
    tokensIn: BigInt(spend.tokensIn),
    tokensOut: BigInt(spend.tokensOut),
    usd: spend.usd,
    seconds: spend.seconds,
    replayed: BigInt(spend.replayed),
  };
}
