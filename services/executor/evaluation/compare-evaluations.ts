import { AppError, type FieldViolation, invalidField } from '@signet/kit/error/app-error.ts';
import { isEnd } from '../execution/execution.ts';
import { getEvaluation, type ReadDeps } from './await-evaluation.ts';
import type { ComparedResult, Evaluation, ResultPair } from './evaluation.ts';
import {
  type Interval,
  relativeWeights,
  type Spread,
  signFlipP,
  studentInterval,
  weightedSpread,
} from './statistics.ts';

/** An example that did otherwise in the second evaluation. */
export type Change = {
  readonly exampleId: string;
  readonly a: ComparedResult;
  readonly b: ComparedResult;
  /** What the metric, or the error, said. */
  readonly wordsA: string;
  readonly wordsB: string;
};

/** Two evaluations of the same examples side by side. */
export type Comparison = {
  readonly a: Evaluation;
  readonly b: Evaluation;
  readonly pairCount: number;
  readonly meanA: number;
  readonly meanB: number;
  readonly difference: number;
  readonly interval: Interval;
  readonly pValue: number;
  readonly betterCount: number;
  readonly worseCount: number;
  readonly changes: readonly Change[];
  readonly onlyACount: number;
  readonly onlyBCount: number;
};

const changesDefault = 100;
const changesMax = 1_000;

/**
 * Compares two ended evaluations example by example. Fails with EVALUATION_NOT_FOUND, STATE_FORBIDS while one of them runs or once it is
 * forgotten how its examples did, and INVALID_REQUEST where they differ in dataset, version, splits or metric.
 */
export async function compareEvaluations(
  deps: ReadDeps,
  input: { readonly a: string; readonly b: string; readonly changeLimit: number },
): Promise<Comparison> {
  for (const name of ['a', 'b'] as const) if (input[name] === '') throw invalidField(name, 'is required', 'REQUIRED');
  if (input.changeLimit < 0) throw invalidField('change_limit', 'must not be negative', 'NEGATIVE');
  const limit = Math.min(input.changeLimit || changesDefault, changesMax);
  const [a, b] = [await getEvaluation(deps, input.a), await getEvaluation(deps, input.b)];
  for (const each of [a, b]) requireEnded(each);
  requireSame(a, b);
  const pairs = await deps.evaluationStore.pairs(a.id, b.id);
  requireResults(a, pairs.filter((pair) => pair.a !== undefined).length);
  requireResults(b, pairs.filter((pair) => pair.b !== undefined).length);
  const both = pairs.filter(isWhole);
  const weights = relativeWeights(both.map(({ weight }) => weight));
  const differences = both.map((pair) => pair.b.score - pair.a.score);
  const moved = both
    .filter((pair) => pair.a.score !== pair.b.score)
    .sort((one, other) => changeOf(other) - changeOf(one) || one.a.position - other.a.position);
  const spread = weightedSpread(differences, weights);
  return {
    a,
    b,
    pairCount: both.length,
    meanA: weightedSpread(
      both.map((pair) => pair.a.score),
      weights,
    ).mean,
    meanB: weightedSpread(
      both.map((pair) => pair.b.score),
      weights,
    ).mean,
    difference: spread.mean,
    interval: intervalOf(spread),
    pValue: signFlipP(differences.map((difference, at) => difference * weights[at]!)),
    betterCount: differences.filter((each) => each > 0).length,
    worseCount: differences.filter((each) => each < 0).length,
    changes: await withWords(deps, { a, b }, moved.slice(0, limit)),
    onlyACount: pairs.filter((pair) => pair.b === undefined).length,
    onlyBCount: pairs.filter((pair) => pair.a === undefined).length,
  };
}

type Whole = ResultPair & { readonly a: ComparedResult; readonly b: ComparedResult };

function isWhole(pair: ResultPair): pair is Whole {
  return pair.a !== undefined && pair.b !== undefined;
}

function changeOf({ a, b }: Whole): number {
  return Math.abs(b.score - a.score);
}

function intervalOf({ mean, deviation, effectiveCount }: Spread): Interval {
  const { low, high } = studentInterval(mean, deviation, effectiveCount);
  return { low: Math.max(-1, low), high: Math.min(1, high) };
}

async function withWords({ evaluationStore }: ReadDeps, { a, b }: { a: Evaluation; b: Evaluation }, moved: Whole[]) {
  const positions = moved.map((pair) => pair.a.position);
  const [ofA, ofB] = await Promise.all([
    evaluationStore.words(a.id, positions),
    evaluationStore.words(b.id, positions),
  ]);
  return moved.map((pair) => ({
    exampleId: pair.exampleId,
    a: pair.a,
    b: pair.b,
    wordsA: (ofA.get(pair.a.position) ?? '').slice(0, wordsMax),
    wordsB: (ofB.get(pair.b.position) ?? '').slice(0, wordsMax),
  }));
}

// A thousand changes with all their words would be more than a message may hold.
const wordsMax = 300;

function requireEnded({ id, status }: Evaluation): void {
  if (isEnd(status)) return;
  throw new AppError('STATE_FORBIDS', `The evaluation \`${id}\` has not ended (status: ${status})`, {
    metadata: { state: status, event: 'compare', evaluation: id },
  });
}

function requireResults({ id, resultCount }: Evaluation, found: number): void {
  if (found >= resultCount) return;
  throw new AppError('STATE_FORBIDS', `How the examples of the evaluation \`${id}\` did is forgotten`, {
    metadata: { state: 'forgotten', event: 'compare', evaluation: id },
  });
}

function requireSame(a: Evaluation, b: Evaluation): void {
  const differ: FieldViolation[] = [];
  const compare = (field: string, one: unknown, other: unknown): void => {
    const [shownA, shownB] = [canonical(one), canonical(other)];
    if (shownA === shownB) return;
    differ.push({ field, reason: 'DIFFERENT', description: `${shownA} in the first, ${shownB} in the second` });
  };
  compare('dataset', a.datasetId, b.datasetId);
  compare('dataset_version', a.datasetVersion, b.datasetVersion);
  compare('splits', [...a.splits].sort(), [...b.splits].sort());
  compare('metric', a.metric, b.metric);
  if (differ.length === 0) return;
  const names = differ.map(({ field }) => field).join(', ');
  throw new AppError('INVALID_REQUEST', `The evaluations cannot be compared: they differ in ${names}`, {
    fieldViolations: differ,
    metadata: { fields: names },
  });
}

function canonical(value: unknown): string {
  const sorted = (_key: string, member: unknown): unknown =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1)))
      : member;
  return JSON.stringify(value, sorted).slice(0, 500);
}
