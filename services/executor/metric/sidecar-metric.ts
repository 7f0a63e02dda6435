import { createHash } from 'node:crypto';
import { type JsonObject, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import type { EngineProgram } from '../engine/engine.ts';
import type { Metric } from './metric.ts';
import type { ScoreInput } from './scored.ts';

const signature = parseSpec(
  'inputs: dict[str, Any], expected: dict[str, Any], outputs: dict[str, Any] -> score: float, feedback: str',
);

/** A metric of DSPy or of the allow-list as a program of the sidecar: it reads `inputs`, `expected` and `outputs`. */
export function metricProgram(metric: Metric & { readonly kind: 'dspy' | 'python' }): EngineProgram {
  const module = `${metric.kind}_metric:${metric.name ?? ''}`;
  const moduleConfig = configOf(metric);
  const content = `${module} ${writeJson(moduleConfig)}`;
  return {
    programId: '',
    slug: 'metric',
    version: 1,
    ref: createHash('sha256').update(content).digest('hex').slice(0, 32),
    signature,
    module,
    moduleConfig,
    promptAdapter: 'chat',
    instructions: '',
    demosJson: [],
    lmOptions: new Map(),
    planJson: '',
    nativeFault: '',
  };
}

/** What such a program is given. */
export function metricInputs({ inputs, expected, outputs }: ScoreInput): JsonObject {
  return new Map<string, JsonValue>([
    ['inputs', inputs],
    ['expected', expected],
    ['outputs', outputs],
  ]);
}

function configOf(metric: Metric): JsonObject {
  const config = new Map<string, JsonValue>();
  if (metric.arguments !== undefined) config.set('arguments', jsonFromPlain(metric.arguments));
  if (metric.kind === 'dspy') {
    if (metric.field !== undefined) config.set('field', metric.field);
    if (metric.expected_field !== undefined) config.set('expected_field', metric.expected_field);
  }
  return config;
}
