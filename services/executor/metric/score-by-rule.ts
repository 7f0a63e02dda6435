import { describeJson, isArray, JsonError, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { f1, normalizeText } from './answer-text.ts';
import { normalized, sameValue, scalarText, verbatim } from './compare-values.ts';
import type { Metric, MetricKind } from './metric.ts';
import { type Compared, pickFields } from './pick-fields.ts';
import { type Score, ScoreError, type ScoreInput } from './scored.ts';

/** The rules that need nobody else. */
export type RuleKind = Extract<MetricKind, 'exact_match' | 'f1' | 'contains' | 'json_field' | 'numeric'>;

const rules: Readonly<Record<RuleKind, (compared: Compared, metric: Metric) => Score>> = {
  exact_match: exactMatch,
  f1: wordOverlap,
  contains,
  json_field: jsonField,
  numeric,
};

/** True for a rule that needs nobody else. */
export function isRule(kind: MetricKind): kind is RuleKind {
  return Object.hasOwn(rules, kind);
}

/** Scores an answer by a rule. Throws ScoreError where the example or the metric, and not the answer, is at fault. */
export function scoreByRule(metric: Metric & { readonly kind: RuleKind }, input: ScoreInput): Score {
  return rules[metric.kind](pickFields(metric, input), metric);
}

function exactMatch({ given, expected }: Compared, metric: Metric): Score {
  const sameText = metric.verbatim ? verbatim : normalized;
  // A list of texts stands for several right answers, unless the answer is a list itself.
  const right = isArray(expected) && !isArray(given) ? expected : [expected];
  return verdict(right.some((each) => sameValue(given, each, sameText)));
}

function wordOverlap({ field, given, expected }: Compared): Score {
  const text = scalarText(given);
  if (text === undefined)
    throw new ScoreError('METRIC_FAILED', `\`${field}\` is ${describeJson(given)}, which has no words`);
  const wanted = (isArray(expected) ? expected : [expected]).map((each) => {
    const words = scalarText(each);
    if (words !== undefined) return words;
    throw new ScoreError(
      'METRIC_FAILED',
      `what is expected of \`${field}\` is ${describeJson(each)}, which has no words`,
    );
  });
  return { score: wanted.reduce((best, each) => Math.max(best, f1(text, each)), 0), feedback: '' };
}

function contains({ field, given, expected }: Compared, metric: Metric): Score {
  const wanted = isArray(expected) ? expected : [expected];
  const sameText = metric.verbatim ? verbatim : normalized;
  const missing = wanted.filter((each) => {
    if (isArray(given)) return !given.some((item) => sameValue(item, each, sameText));
    return !holds(given, each, field, metric.verbatim === true);
  });
  const shown = missing.slice(0, 3).map((each) => `\`${(scalarText(each) ?? describeJson(each)).slice(0, 100)}\``);
  return { ...verdict(missing.length === 0), feedback: missing.length === 0 ? '' : `${shown.join(', ')} is missing` };
}

function holds(given: JsonValue, expected: JsonValue, field: string, isVerbatim: boolean): boolean {
  const text = scalarText(given);
  const part = scalarText(expected);
  if (part === undefined || part === '') {
    const what = part === '' ? 'an empty text' : describeJson(expected);
    throw new ScoreError('METRIC_FAILED', `what is expected in \`${field}\` is ${what}`);
  }
  if (text === undefined)
    throw new ScoreError('METRIC_FAILED', `\`${field}\` is ${describeJson(given)}, which holds no text`);
  const bare = normalizeText(part);
  // A part of articles and punctuation alone would be found everywhere.
  return isVerbatim || bare === '' ? text.includes(part) : normalizeText(text).includes(bare);
}

function jsonField({ field, given, expected }: Compared, metric: Metric): Score {
  const path = metric.path ?? '';
  const wanted = valueAt(asJson(expected), path);
  if (wanted === undefined) {
    throw new ScoreError('EXPECTED_MISSING', `what is expected of \`${field}\` has nothing at \`${path}\``);
  }
  const read = asJson(given);
  const found = valueAt(read, path);
  if (found === undefined) {
    const why = typeof read === 'string' ? 'is no JSON' : `has nothing at \`${path}\``;
    return { score: 0, feedback: `\`${field}\` ${why}` };
  }
  return verdict(sameValue(found, wanted, verbatim));
}

/** What a text holds as JSON, the text itself if it is none. */
function asJson(value: JsonValue): JsonValue {
  if (typeof value !== 'string') return value;
  try {
    return parseJson(value);
  } catch (error) {
    if (error instanceof JsonError) return value;
    throw error;
  }
}

/** What stands at a JSON Pointer; undefined if nothing does. */
function valueAt(value: JsonValue, pointer: string): JsonValue | undefined {
  let found: JsonValue | undefined = value;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (found === undefined || found === null || typeof found !== 'object' || found instanceof JsonNumber)
      return undefined;
    if (isArray(found)) found = /^(0|[1-9]\d{0,8})$/.test(key) ? found[Number(key)] : undefined;
    else found = found.get(key);
  }
  return found;
}

function numeric({ field, given, expected }: Compared, metric: Metric): Score {
  const wanted = numberOf(expected);
  if (wanted === undefined) throw new ScoreError('METRIC_FAILED', `what is expected of \`${field}\` is no number`);
  const number = numberOf(given);
  if (number === undefined) return { score: 0, feedback: `\`${field}\` is no number` };
  const { absolute = 0, relative = 0 } = metric.tolerance ?? {};
  const difference = Math.abs(number - wanted);
  const isRight = difference <= absolute || difference <= relative * Math.abs(wanted);
  return { ...verdict(isRight), feedback: isRight ? '' : `off by ${difference}` };
}

function numberOf(value: JsonValue): number | undefined {
  if (typeof value === 'string' && !/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value)) return undefined;
  if (typeof value !== 'string' && !(value instanceof JsonNumber)) return undefined;
  const number = Number(typeof value === 'string' ? value : value.text);
  return Number.isFinite(number) ? number : undefined;
}

function verdict(isRight: boolean): Score {
  return { score: isRight ? 1 : 0, feedback: '' };
}
