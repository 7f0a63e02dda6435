import { invalidField } from '@signet/kit/error/app-error.ts';
import {
  findUnstorableText,
  isStorableText,
  JsonError,
  type JsonValue,
  jsonFromPlain,
} from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';

/** The rules by which answers are scored. */
export const metricKinds = [
  'exact_match',
  'f1',
  'contains',
  'json_field',
  'numeric',
  'lm_judge',
  'dspy',
  'python',
] as const;

/** The rule of a metric. */
export type MetricKind = (typeof metricKinds)[number];

/** How good an answer is, as a number from 0 to 1; as it is kept. What is absent was not said. */
export type Metric = {
  readonly kind: MetricKind;
  readonly field?: string;
  readonly expected_field?: string;
  readonly tolerance?: { readonly absolute: number; readonly relative: number };
  /** A JSON Pointer. */
  readonly path?: string;
  /** The slug of a language model. */
  readonly lm?: string;
  readonly instructions?: string;
  readonly threshold?: number;
  readonly name?: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly verbatim?: boolean;
  readonly timeout_ms?: number;
};

/** How long scoring one example may take if nothing is said. */
export const metricTimeoutMs = 60_000;

const timeoutMaxMs = 600_000;
const instructionsMax = 10_000;
const nameMax = 200;
const argumentsMax = 16_384;

/** What each of DSPy's own metrics reads: the field of the example and that of the prediction; undefined if there is no such metric. */
export const dspyMetrics: ReadonlyMap<
  string,
  { readonly expected: string; readonly field: string; readonly asksLm: boolean }
> = new Map([
  ['answer_exact_match', { expected: 'answer', field: 'answer', asksLm: false }],
  ['answer_passage_match', { expected: 'answer', field: 'context', asksLm: false }],
  ['SemanticF1', { expected: 'response', field: 'response', asksLm: true }],
  ['CompleteAndGrounded', { expected: 'response', field: 'response', asksLm: true }],
]);

// What a kind takes beside `kind`, `threshold` and `timeout_ms`, which all take.
const taken: Readonly<Record<MetricKind, readonly (keyof Metric)[]>> = {
  exact_match: ['field', 'expected_field', 'verbatim'],
  f1: ['field', 'expected_field'],
  contains: ['field', 'expected_field', 'verbatim'],
  json_field: ['field', 'expected_field', 'path'],
  numeric: ['field', 'expected_field', 'tolerance'],
  lm_judge: ['field', 'expected_field', 'lm', 'instructions'],
  dspy: ['field', 'expected_field', 'lm', 'name', 'arguments'],
  python: ['lm', 'name', 'arguments'],
};
const always: readonly (keyof Metric)[] = ['kind', 'threshold', 'timeout_ms'];

/** Gives a metric back if it can be used. INVALID_REQUEST names what cannot, below `root`. */
export function checkMetric(metric: Metric, root = 'metric'): Metric {
  const { kind, threshold, timeout_ms: timeoutMs, tolerance } = metric;
  for (const name of Object.keys(metric) as (keyof Metric)[]) {
    if (always.includes(name) || taken[kind].includes(name)) continue;
    throw invalidField(`${root}.${name}`, `${kind} takes none`, 'NOT_TAKEN');
  }
  for (const name of ['field', 'expected_field', 'path', 'lm', 'name'] as const)
    checkText(metric[name], `${root}.${name}`, nameMax);
  checkText(metric.instructions, `${root}.instructions`, instructionsMax);
  if (threshold !== undefined && !(threshold > 0 && threshold <= 1)) {
    throw invalidField(`${root}.threshold`, 'must be above 0 and at most 1');
  }
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= timeoutMaxMs)) {
    throw invalidField(`${root}.timeout_ms`, `must be from 1 to ${timeoutMaxMs}`);
  }
  if (tolerance !== undefined) checkTolerance(tolerance, root);
  if (metric.path !== undefined && !/^(\/([^~/]|~[01])*)*$/.test(metric.path)) {
    throw invalidField(`${root}.path`, 'must be a JSON Pointer such as /items/0/name');
  }
  if (kind === 'dspy' || kind === 'python') checkName(metric, root);
  if (metric.arguments !== undefined) checkArguments(metric.arguments, `${root}.arguments`);
  return metric;
}

/** True if a metric asks a language model. */
export function asksLm({ kind, name = '' }: Metric): boolean {
  return kind === 'lm_judge' || kind === 'python' || (kind === 'dspy' && dspyMetrics.get(name)?.asksLm === true);
}

/** True if a metric cannot do without expected outputs. */
export function needsExpected({ kind }: Metric): boolean {
  return kind !== 'lm_judge' && kind !== 'python';
}

function checkTolerance({ absolute, relative }: NonNullable<Metric['tolerance']>, root: string): void {
  for (const [name, value] of Object.entries({ absolute, relative })) {
    if (!(value >= 0 && Number.isFinite(value))) throw invalidField(`${root}.tolerance.${name}`, 'must be 0 or more');
  }
}

function checkText(text: string | undefined, field: string, lengthMax: number): void {
  if (text === undefined) return;
  if (text.length > lengthMax) throw invalidField(field, `must be at most ${lengthMax} characters`, 'TOO_LONG');
  if (!isStorableText(text)) throw invalidField(field, 'the text cannot be stored', 'TEXT_INVALID');
}

function checkArguments(given: unknown, field: string): void {
  let value: JsonValue;
  try {
    value = jsonFromPlain(given);
  } catch (error) {
    if (error instanceof JsonError) throw invalidField(field, error.message, error.reason);
    throw error;
  }
  const bad = findUnstorableText(value, field);
  if (bad !== undefined) throw invalidField(bad, 'the text cannot be stored', 'TEXT_INVALID');
  if (writeJson(value).length > argumentsMax) {
    throw invalidField(field, `must be at most ${argumentsMax} characters of JSON`, 'TOO_LONG');
  }
}

function checkName({ kind, name }: Metric, root: string): void {
  if (name === undefined) throw invalidField(`${root}.name`, `is required for ${kind}`, 'REQUIRED');
  if (kind === 'dspy' && !dspyMetrics.has(name)) {
    throw invalidField(`${root}.name`, `must be one of ${[...dspyMetrics.keys()].join(', ')}`, 'UNKNOWN');
  }
}
