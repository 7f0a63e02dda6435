import { isDeepStrictEqual } from 'node:util';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { LookupContext } from '../catalog/catalog.ts';
import type { ServedProgram } from '../catalog/served-program.ts';
import type { DatasetVersion, Split } from '../dataset/datasets.grpc.ts';
import { awaitEvaluation } from '../evaluation/await-evaluation.ts';
import { type Evaluation, foreignOptions } from '../evaluation/evaluation.ts';
import { type StartDeps, startEvaluation } from '../evaluation/start-evaluation.ts';
import { isEnd } from '../execution/execution.ts';
import type { Metric } from '../metric/metric.ts';

/** What looking at a gate needs. */
export type GateDeps = StartDeps;

/** What a version must show before it may be promoted; bounds that are undefined are none. */
export type PromotionGate = {
  readonly dataset: string;
  /** 0 means the newest. */
  readonly datasetVersion: number;
  /** Empty means all. */
  readonly splits: readonly Split[];
  readonly metric: Metric;
  readonly minScore: number | undefined;
  readonly maxDrop: number | undefined;
  readonly maxCostRatio: number | undefined;
  readonly maxLatencyRatio: number | undefined;
};

/** A version at the gate. */
export type AtGate = {
  readonly program: Pick<ServedProgram, 'id' | 'slug' | 'version' | 'servingVersion'>;
  readonly gate: PromotionGate;
  /** Makes the evaluations that are missing, and waits for them. */
  readonly evaluate: boolean;
};

type Measure = { readonly dataset: DatasetVersion; readonly splits: readonly Split[]; readonly metric: Metric };

const recentMax = 100;

/**
 * Lets a version pass that has shown in an evaluation what the gate asks for. Fails with GATE_REFUSED and the numbers, with
 * DATASET_NOT_FOUND, and, where evaluations are made, as `startEvaluation` does.
 */
export async function passGate(deps: GateDeps, { program, gate, evaluate }: AtGate, ctx: LookupContext): Promise<void> {
  const dataset = await deps.datasets.resolve(gate.dataset, gate.datasetVersion, ctx);
  const measure: Measure = { dataset, splits: gate.splits, metric: gate.metric };
  const measured = await measurementOf(deps, { program, version: program.version, measure, evaluate }, ctx);
  const { minScore, maxDrop, maxCostRatio, maxLatencyRatio } = gate;
  const compares = [maxDrop, maxCostRatio, maxLatencyRatio].some((bound) => bound !== undefined);
  const version = program.servingVersion;
  const base =
    compares && version !== program.version
      ? await measurementOf(deps, { program, version, measure, evaluate }, ctx)
      : undefined;
  const faults = [
    below(measured, minScore),
    ...(base === undefined
      ? []
      : [
          dropped(measured, base, maxDrop),
          dearer(measured, base, maxCostRatio),
          slower(measured, base, maxLatencyRatio),
        ]),
  ].filter((fault) => fault !== undefined);
  if (faults.length === 0) return;
  throw refused(program, `${faults.join('; ')}`, { ...numbersOf(measured), ...(base && numbersOf(base, 'serving_')) });
}

type Wanted = {
  readonly program: AtGate['program'];
  readonly version: number;
  readonly measure: Measure;
  readonly evaluate: boolean;
};

async function measurementOf(deps: GateDeps, wanted: Wanted, ctx: LookupContext): Promise<Evaluation> {
  const { program, version, measure, evaluate } = wanted;
  const { dataset, metric, splits } = measure;
  const found = await findMeasurement(deps, wanted);
  if (found?.status === 'completed') return found;
  if (!evaluate) {
    const message = `version ${version} has no completed evaluation with ${metric.kind} on version ${dataset.version} of \`${dataset.slug}\`: evaluate it, or promote with \`evaluate\``;
    throw refused(program, message, { dataset: dataset.slug, dataset_version: String(dataset.version) });
  }
  const started =
    found ??
    (await startEvaluation(
      deps,
      {
        ...{ program: program.id, version, dataset: dataset.id, datasetVersion: dataset.version, splits, metric },
        ...{ options: {}, concurrency: 0, labels: {} },
      },
      ctx,
    ));
  const ended = await awaitEvaluation(deps, started.id, ctx.signal);
  if (ended.status === 'completed') return ended;
  throw refused(program, `the evaluation of version ${version} ${ended.status}`, { evaluation: ended.id });
}

async function findMeasurement(deps: GateDeps, { program, version, measure }: Wanted): Promise<Evaluation | undefined> {
  const { dataset, metric, splits } = measure;
  const rows = await deps.evaluationStore.list({
    programId: program.id,
    condition: 'version = $4 and dataset_id = $5 and dataset_version = $6',
    values: [version, dataset.id, dataset.version],
    descending: true,
    afterId: undefined,
    limit: recentMax,
  });
  const fitting = rows.filter(
    (row) =>
      isDeepStrictEqual(row.metric, JSON.parse(JSON.stringify(metric))) &&
      isDeepStrictEqual([...row.splits].sort(), [...new Set(splits)].sort()) &&
      foreignOptions.every((name) => row.options[name] === undefined),
  );
  return fitting.find(({ status }) => status === 'completed') ?? fitting.find(({ status }) => !isEnd(status));
}

function below({ mean = 0 }: Evaluation, min: number | undefined): string | undefined {
  if (min === undefined || mean >= min) return undefined;
  return `it scores ${shown(mean)}, the gate asks for ${shown(min)}`;
}

function dropped({ mean = 0 }: Evaluation, base: Evaluation, drop: number | undefined): string | undefined {
  const before = base.mean ?? 0;
  // Means of floats: what is equal on paper must pass.
  if (drop === undefined || mean >= before - drop - 1e-9) return undefined;
  return `it scores ${shown(mean)}, the serving version ${shown(before)}, and may drop by ${shown(drop)} at most`;
}

function dearer(measured: Evaluation, base: Evaluation, ratio: number | undefined): string | undefined {
  if (ratio === undefined) return undefined;
  const [cost, before] = [measured.cost ?? 0, base.cost ?? 0];
  if (cost <= before * ratio + 1e-12) return undefined;
  return `it costs ${shown(cost)} USD, the serving version ${shown(before)}, and may cost ${shown(ratio)} times that`;
}

function slower(measured: Evaluation, base: Evaluation, ratio: number | undefined): string | undefined {
  if (ratio === undefined) return undefined;
  const [p95, before] = [measured.figures?.latency_p95_ms ?? 0, base.figures?.latency_p95_ms ?? 0];
  if (p95 <= before * ratio) return undefined;
  return `its p95 is ${shown(p95)} ms, that of the serving version ${shown(before)}, and may be ${shown(ratio)} times that`;
}

function numbersOf({ id, version, mean = 0, cost, figures }: Evaluation, prefix = ''): Record<string, string> {
  return {
    [`${prefix}version`]: String(version),
    [`${prefix}evaluation`]: id,
    [`${prefix}score`]: shown(mean),
    ...(cost === undefined ? {} : { [`${prefix}cost`]: shown(cost) }),
    ...(figures?.latency_p95_ms === undefined ? {} : { [`${prefix}latency_p95_ms`]: shown(figures.latency_p95_ms) }),
  };
}

function refused(program: AtGate['program'], why: string, metadata: Record<string, string>): AppError {
  const message = `Version ${program.version} of \`${program.slug}\` may not be promoted: ${why}`;
  return new AppError('GATE_REFUSED', message, { metadata: { program: program.slug, ...metadata } });
}

function shown(value: number): string {
  return String(Number(value.toPrecision(4)));
}
