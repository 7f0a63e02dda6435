import { createRun } from '@signet/predict/modules/run.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { EngineDeclined, type EngineProgram, type LmEndpoint, type RenderedPrompt } from '../engine/engine.ts';
import { failureOf } from './native-run.ts';
import { planOf } from './plan-of.ts';

/** How a run of a plan begins. Throws EngineDeclined where only Python knows. */
export function renderPrompt(program: EngineProgram, inputs: JsonObject, lm: LmEndpoint | undefined): RenderedPrompt {
  const { jsonSchema = false, jsonObject = false } = lm?.capabilities ?? {};
  const settings = { adapter: program.promptAdapter, lm: { jsonSchema, jsonObject }, options: program.lmOptions };
  const step = createRun(planOf(program), settings).start(inputs);
  if (step.kind === 'lm') return { predictor: step.predictor, messages: step.messages, options: step.options };
  if (step.kind === 'failed') throw failureOf(step);
  throw new EngineDeclined('native', step.kind === 'doubtful' ? step.why : 'it does not begin with the model');
}
