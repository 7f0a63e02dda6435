import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { DatasetExample } from '../dataset/datasets.grpc.ts';
import { childId } from '../execution/child-id.ts';
import type { JudgeDeps } from '../metric/lm-judge.ts';
import { type Scorer, unscored } from '../metric/score.ts';
import type { Scored } from '../metric/scored.ts';
import { type OwnedDeps, type OwnedEnding, runOwned } from '../runtime/run-owned.ts';
import type { Evaluation, ResultRow } from './evaluation.ts';

/** What running an example needs. */
export type ExampleDeps = OwnedDeps & {
  readonly lmClient: JudgeDeps['lm'];
  /** What reads replies of a judge that only Python reads for certain; empty where there is nothing. */
  readonly reading: Pick<JudgeDeps, 'reader'>;
};

/** One example of an evaluation. */
export type ExampleRun = {
  readonly evaluation: Evaluation;
  readonly example: DatasetExample;
  readonly scorer: Scorer;
  /** True if nobody can have begun it before. */
  readonly isNew: boolean;
};

/** Runs an example as an execution of its own, the same one however often it is tried, and scores its answer. */
export async function runExample(deps: ExampleDeps, run: ExampleRun, ctx: LookupContext): Promise<ResultRow> {
  const { evaluation, example, isNew } = run;
  const ending = await runOwned(
    deps,
    {
      id: childId(evaluation.id, `example/${example.position}`),
      input: {
        program: evaluation.programId,
        inputs: { text: example.inputsJson },
        options: { ...evaluation.options, version: evaluation.version },
        labels: { evaluation: evaluation.id },
        metadata: { example_id: example.id },
      },
      isNew,
      isQuiet: true,
      isBulk: true,
    },
    ctx,
  );
  // It was ended with the evaluation, or left to others: neither is a result.
  if (ctx.signal.aborted) throw ctx.signal.reason;
  const { scored, phase } = await scoreOf(run, ending, ctx);
  return rowOf(example, ending, scored, phase);
}

type Judged = { readonly scored: Scored; readonly phase: ResultRow['phase'] };

async function scoreOf({ example, scorer }: ExampleRun, ending: OwnedEnding, ctx: LookupContext): Promise<Judged> {
  const { fault, outputsJson, executionId } = ending;
  if (fault !== undefined || outputsJson === undefined) {
    const { reason, message } = fault ?? { reason: 'INTERNAL', message: 'The execution gave no outputs' };
    return { scored: unscored({ reason, message }), phase: 'execution' };
  }
  const input = {
    inputs: objectOf(example.inputsJson),
    expected: objectOf(example.outputsJson),
    outputs: objectOf(outputsJson),
  };
  const scored = await scorer.score(input, { signal: ctx.signal, trace: ctx.trace, executionId });
  return { scored, phase: scored.error === undefined ? '' : 'metric' };
}

function rowOf(example: DatasetExample, ending: OwnedEnding, scored: Scored, phase: ResultRow['phase']): ResultRow {
  const { tokensIn, tokensOut, cost } = usedBy(ending);
  const { figures, error } = scored;
  return {
    position: example.position,
    exampleId: example.id,
    split: example.split,
    executionId: ending.executionId,
    // The database cannot square what is smaller.
    score: scored.score < 1e-100 ? 0 : scored.score,
    weight: example.weight,
    feedback: storable(scored.feedback),
    phase,
    reason: error?.reason ?? '',
    message: storable(error?.message ?? ''),
    durationMs: ending.durationMs,
    tokensIn,
    tokensOut,
    cost,
    metricTokens: figures.tokensIn + figures.tokensOut,
    metricCost: figures.cost,
  };
}

function usedBy({ metricsJson }: OwnedEnding): Pick<ResultRow, 'tokensIn' | 'tokensOut' | 'cost'> {
  const metrics = metricsJson === undefined ? {} : (JSON.parse(metricsJson) as Record<string, unknown>);
  const number = (name: string): number | undefined => {
    const value = metrics[name];
    return typeof value === 'number' ? value : undefined;
  };
  return { tokensIn: number('tokens_in') ?? 0, tokensOut: number('tokens_out') ?? 0, cost: number('cost') };
}

function objectOf(json: string): JsonObject {
  const value = parseJson(json || '{}');
  return isObject(value) ? value : new Map();
}

const textMax = 10_000;

function storable(text: string): string {
  return text.slice(0, textMax).replaceAll('\u0000', '').toWellFormed();
}
