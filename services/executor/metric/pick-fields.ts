import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { Metric } from './metric.ts';
import { ScoreError, type ScoreInput } from './scored.ts';

/** What a metric compares. */
export type Compared = { readonly field: string; readonly given: JsonValue; readonly expected: JsonValue };

/** Finds what is compared with what. Throws ScoreError EXPECTED_MISSING or OUTPUT_MISSING. */
export function pickFields(metric: Metric, { expected, outputs }: ScoreInput): Compared {
  const field = metric.field ?? fieldOf(metric, expected, outputs);
  const expectedField = metric.expected_field ?? field;
  const wanted = expected.get(expectedField);
  if (wanted === undefined) throw new ScoreError('EXPECTED_MISSING', `the example expects no \`${expectedField}\``);
  const given = outputs.get(field);
  if (given === undefined) throw new ScoreError('OUTPUT_MISSING', `the program gave no \`${field}\``);
  return { field, given, expected: wanted };
}

function fieldOf({ expected_field: expectedField }: Metric, expected: JsonObject, outputs: JsonObject): string {
  if (expectedField === undefined) return onlyField(expected, outputs);
  return outputs.size === 1 ? outputs.keys().next().value! : expectedField;
}

/** The field that is meant where none is named. Throws ScoreError if there are several, or none. */
function onlyField(expected: JsonObject, outputs: JsonObject): string {
  if (expected.size === 1) return expected.keys().next().value!;
  if (expected.size === 0) throw new ScoreError('EXPECTED_MISSING', 'the example expects no outputs');
  if (outputs.size === 1) return outputs.keys().next().value!;
  const names = [...expected.keys()].map((name) => `\`${name}\``).join(', ');
  throw new ScoreError('EXPECTED_MISSING', `the example expects ${names}: \`field\` has to say which one is compared`);
}
