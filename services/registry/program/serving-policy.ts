import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import { type Program, stateForbids, versionNotFound } from './program.ts';
import type { ProgramStore } from './store.postgres.ts';

/** Who gets which version of a program, and what a version must show before it may serve. */
export type ServingPolicy = {
  readonly gate?: PromotionGate;
  readonly versionLabels?: Readonly<Record<string, number>>;
  readonly trafficSplit?: readonly TrafficShare[];
};

/** The part of one version in the calls of a program. */
export type TrafficShare = { readonly version: number; readonly percent: number };

/** What a version must show in an evaluation before it may be promoted. */
export type PromotionGate = {
  readonly dataset: string;
  /** 0 means the newest. */
  readonly datasetVersion: number;
  /** By their numbers on the wire; empty means all. */
  readonly splits: readonly number[];
  /** As it came; executors know metrics. */
  readonly metric: JsonRecord | undefined;
  readonly minScore?: number;
  readonly maxDrop?: number;
  readonly maxCostRatio?: number;
  readonly maxLatencyRatio?: number;
};

const labelsMax = 32;
const sharesMax = 10;
const labelName = /^[a-z][a-z0-9-]{0,62}$/;
const root = 'serving_policy';

/** Checks what can be told without looking at the program; faults are added to `checks`. */
export function checkServingPolicy(
  { gate, versionLabels = {}, trafficSplit = [] }: ServingPolicy,
  checks: FieldChecks,
): void {
  if (gate !== undefined) checkGate(gate, checks);
  const labels = Object.entries(versionLabels);
  if (labels.length > labelsMax)
    checks.add(`${root}.version_labels`, `must have at most ${labelsMax} entries`, 'TOO_MANY');
  for (const [name, version] of labels.slice(0, labelsMax)) {
    const path = `${root}.version_labels[${JSON.stringify(name.slice(0, 64))}]`;
    if (!labelName.test(name)) checks.add(path, 'the name must match ^[a-z][a-z0-9-]{0,62}$', 'LABEL_KEY');
    if (version < 1) checks.add(path, 'must be a version, at least 1');
  }
  checkSplit(trafficSplit, checks);
}

function checkSplit(split: readonly TrafficShare[], checks: FieldChecks): void {
  if (split.length === 0) return;
  const path = `${root}.traffic_split`;
  if (split.length < 2 || split.length > sharesMax) checks.add(path, `must have 2 to ${sharesMax} entries, or none`);
  const total = split.reduce((sum, { percent }) => sum + percent, 0);
  if (total !== 100) checks.add(path, `the percentages must make 100 together, not ${total}`);
  for (const [at, { version, percent }] of split.slice(0, sharesMax).entries()) {
    if (percent < 1 || percent > 99) checks.add(`${path}[${at}].percent`, 'must be from 1 to 99');
    if (version < 1) checks.add(`${path}[${at}].version`, 'must be a version, at least 1');
    if (split.findIndex((share) => share.version === version) < at) {
      checks.add(`${path}[${at}].version`, `version ${version} stands in the split already`, 'DUPLICATE');
    }
  }
}

function checkGate(gate: PromotionGate, checks: FieldChecks): void {
  const path = `${root}.gate`;
  checks.text(`${path}.dataset`, gate.dataset, { max: 200, required: true, oneLine: true });
  if (gate.datasetVersion < 0) checks.add(`${path}.dataset_version`, 'must not be negative', 'NEGATIVE');
  if (gate.splits.length > 3) checks.add(`${path}.splits`, 'must have at most 3 entries', 'TOO_MANY');
  if (gate.metric === undefined || gate.metric.kind === 0) checks.add(`${path}.metric`, 'is required', 'REQUIRED');
  else checks.json(`${path}.metric`, gate.metric);
  const { minScore, maxDrop, maxCostRatio, maxLatencyRatio } = gate;
  for (const [name, value] of [
    ['min_score', minScore],
    ['max_drop', maxDrop],
  ] as const) {
    if (value !== undefined && !(value >= 0 && value <= 1)) checks.add(`${path}.${name}`, 'must be from 0 to 1');
  }
  for (const [name, value] of [
    ['max_cost_ratio', maxCostRatio],
    ['max_latency_ratio', maxLatencyRatio],
  ] as const) {
    if (value !== undefined && !(value > 0 && value <= 1_000))
      checks.add(`${path}.${name}`, 'must be above 0, at most 1,000');
  }
  if ([minScore, maxDrop, maxCostRatio, maxLatencyRatio].every((value) => value === undefined)) {
    checks.add(path, 'asks for nothing: set min_score, max_drop, max_cost_ratio or max_latency_ratio', 'REQUIRED');
  }
}

/**
 * Makes sure that what a policy names is there: labelled versions exist, those that share the calls are prepared and the program serves.
 * Fails with VERSION_NOT_FOUND and STATE_FORBIDS.
 */
export async function requireVersions(
  deps: { readonly programs: ProgramStore },
  program: Program,
  { versionLabels = {}, trafficSplit = [] }: ServingPolicy,
): Promise<void> {
  for (const version of new Set(Object.values(versionLabels))) {
    if (version > program.latestVersion) throw versionNotFound(program.id, version);
  }
  if (trafficSplit.length === 0) return;
  if (program.status !== 'ready' && program.status !== 'optimizing') {
    throw stateForbids(`Cannot split the calls of a program in state ${program.status}`, program.status, 'split');
  }
  for (const { version } of trafficSplit) {
    const found = await deps.programs.version(program.id, version);
    if (found === undefined) throw versionNotFound(program.id, version);
    if (found.preparation.state !== 'ready' && version !== program.servingVersion) {
      throw stateForbids(
        `Version ${version} has not been prepared: promote it once, or initialize it`,
        program.status,
        'split',
      );
    }
  }
}
