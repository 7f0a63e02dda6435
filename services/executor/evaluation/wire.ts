import { type CallContext, hasRole } from '@signet/kit/call-context.ts';
import { invalidField } from '@signet/kit/error/app-error.ts';
import { Split as WireSplit } from '@signet/proto/gen/signet/v1/dataset.ts';
import {
  type EvaluationChange,
  type EvaluationResult,
  type EvaluationSummary,
  type EvaluationComparison as WireComparison,
  type Evaluation as WireEvaluation,
  EvaluationStatus as WireStatus,
} from '@signet/proto/gen/signet/v1/evaluation.ts';
import type { EvaluateProgramRequest } from '@signet/proto/gen/signet/v1/evaluation_service.ts';
import type { Split } from '../dataset/datasets.grpc.ts';
import type { ExecutionStatus } from '../execution/execution.ts';
import { fromOptions, toWireOptions } from '../execution/options-wire.ts';
import { type PayloadKind, toPayload, toWireError } from '../execution/wire.ts';
import { fromWireMetric, toWireMetric } from '../metric/wire.ts';
import type { Change, Comparison } from './compare-evaluations.ts';
import type { Evaluation, FullResult } from './evaluation.ts';
import type { StartInput } from './start-evaluation.ts';

const wireStatuses: Readonly<Record<ExecutionStatus, WireStatus>> = {
  pending: WireStatus.EVALUATION_STATUS_PENDING,
  running: WireStatus.EVALUATION_STATUS_RUNNING,
  completed: WireStatus.EVALUATION_STATUS_COMPLETED,
  failed: WireStatus.EVALUATION_STATUS_FAILED,
  cancelled: WireStatus.EVALUATION_STATUS_CANCELLED,
};

const wireSplits: Readonly<Record<Split, WireSplit>> = {
  train: WireSplit.SPLIT_TRAIN,
  validation: WireSplit.SPLIT_VALIDATION,
  test: WireSplit.SPLIT_TEST,
};

/** What a request for an evaluation asks for. INVALID_REQUEST for splits and metrics that there are not. */
export function fromEvaluate(request: EvaluateProgramRequest): StartInput {
  const { program, version, dataset, datasetVersion, executionOptions, concurrency, labels } = request;
  if (dataset === '') throw invalidField('dataset', 'is required', 'REQUIRED');
  return {
    ...{ program, version, dataset, datasetVersion, concurrency, labels },
    splits: request.splits.map(fromSplit),
    metric: fromWireMetric(request.metric),
    options: fromOptions(executionOptions),
  };
}

function fromSplit(split: WireSplit, at: number): Split {
  const found = (Object.keys(wireSplits) as Split[]).find((name) => wireSplits[name] === split);
  if (found === undefined) throw invalidField(`splits[${at}]`, 'must be train, validation or test');
  return found;
}

/** An evaluation as callers see it; tracebacks are for admins. */
export function toWireEvaluation(evaluation: Evaluation, ctx: CallContext): WireEvaluation {
  const { error } = evaluation;
  return {
    id: evaluation.id,
    programId: evaluation.programId,
    program: evaluation.slug,
    version: evaluation.version,
    datasetId: evaluation.datasetId,
    dataset: evaluation.datasetSlug,
    datasetVersion: evaluation.datasetVersion,
    splits: evaluation.splits.map((split) => wireSplits[split]),
    metric: toWireMetric(evaluation.metric),
    executionOptions: toWireOptions(evaluation.options),
    concurrency: evaluation.concurrency,
    status: wireStatuses[evaluation.status],
    exampleCount: BigInt(evaluation.exampleCount),
    resultCount: BigInt(evaluation.resultCount),
    errorCount: BigInt(evaluation.errorCount),
    summary: summaryOf(evaluation),
    error: error === undefined ? undefined : toWireError(error, hasRole(ctx, 'admin')),
    attempts: evaluation.attempts,
    traceId: evaluation.traceId,
    labels: { ...evaluation.labels },
    createTime: evaluation.createTime,
    startTime: evaluation.startTime,
    endTime: evaluation.endTime,
    updateTime: evaluation.updateTime,
  };
}

function summaryOf(evaluation: Evaluation): EvaluationSummary | undefined {
  const { mean, figures } = evaluation;
  if (mean === undefined) return undefined;
  return {
    mean,
    ciLow: figures?.ci_low,
    ciHigh: figures?.ci_high,
    ciMethod: figures?.ci_method ?? '',
    standardDeviation: figures?.standard_deviation,
    cost: evaluation.cost,
    tokensIn: BigInt(evaluation.tokensIn),
    tokensOut: BigInt(evaluation.tokensOut),
    latencyP50Ms: figures?.latency_p50_ms,
    latencyP95Ms: figures?.latency_p95_ms,
    metricCost: evaluation.metricCost,
    metricTokens: BigInt(evaluation.metricTokens),
    effectiveCount: figures?.effective_count,
  };
}

/** How one example did, as callers see it. */
export function toWireResult(result: FullResult, kind: PayloadKind): EvaluationResult {
  const { phase, reason, message, inputsJson, outputsJson } = result;
  return {
    position: BigInt(result.position),
    exampleId: result.exampleId,
    split: wireSplits[result.split],
    executionId: result.executionId,
    score: result.score,
    feedback: result.feedback,
    error: reason === '' ? undefined : { phase, reason, message },
    durationMs: result.durationMs,
    tokens: BigInt(result.tokensIn + result.tokensOut),
    cost: result.cost,
    inputs: inputsJson === undefined ? undefined : toPayload(inputsJson, kind),
    outputs: outputsJson === undefined ? undefined : toPayload(outputsJson, kind),
    weight: result.weight,
  };
}

/** A comparison as callers see it. */
export function toWireComparison(comparison: Comparison, ctx: CallContext): WireComparison {
  const { pairCount, betterCount, worseCount } = comparison;
  return {
    a: toWireEvaluation(comparison.a, ctx),
    b: toWireEvaluation(comparison.b, ctx),
    pairCount: BigInt(pairCount),
    meanA: comparison.meanA,
    meanB: comparison.meanB,
    difference: comparison.difference,
    ciLow: comparison.interval.low,
    ciHigh: comparison.interval.high,
    pValue: comparison.pValue,
    betterCount: BigInt(betterCount),
    worseCount: BigInt(worseCount),
    equalCount: BigInt(pairCount - betterCount - worseCount),
    changes: comparison.changes.map(toWireChange),
    onlyACount: BigInt(comparison.onlyACount),
    onlyBCount: BigInt(comparison.onlyBCount),
  };
}

function toWireChange({ exampleId, a, b, wordsA, wordsB }: Change): EvaluationChange {
  return {
    exampleId,
    scoreA: a.score,
    scoreB: b.score,
    executionA: a.executionId,
    executionB: b.executionId,
    feedbackA: wordsA,
    feedbackB: wordsB,
  };
}
