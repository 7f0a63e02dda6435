import type { JsonObject } from '@signet/signature/json.ts';
import type { AdapterPlan, Message, PlanType, PredictorPlan, PromptAdapter, RenderedPlan } from '../plan/plan.ts';
import { DoubtError } from '../python/json-text.ts';
import { fieldValueText, RenderError } from './field-value.ts';

/** The messages of one LM call; or what DSPy raises in their place; or why only Python knows. */
export type Rendered =
  | { readonly kind: 'messages'; readonly messages: readonly Message[] }
  | { readonly kind: 'failed'; readonly pythonType: string; readonly message: string }
  | { readonly kind: 'doubtful'; readonly why: string };

/**
 * Fills a predictor's prompt: the bytes that DSPy's adapter would send. Inputs that are absent are left out, unknown ones are
 * ignored; defaults are the caller's business, as they are Predict's in DSPy.
 */
export function renderMessages(predictor: PredictorPlan, adapter: PromptAdapter, inputs: JsonObject): Rendered {
  const plan: AdapterPlan = predictor[adapter];
  if ('fault' in plan) return { kind: 'failed', ...plan.fault };
  try {
    const content = userContent(plan, inputs, typesOf(predictor));
    return { kind: 'messages', messages: [...fixedMessages(plan), { role: 'user', content }] };
  } catch (error) {
    if (error instanceof RenderError) return { kind: 'failed', pythonType: error.pythonType, message: error.message };
    if (error instanceof DoubtError) return { kind: 'doubtful', why: error.message };
    throw error;
  }
}

function userContent(plan: RenderedPlan, inputs: JsonObject, types: ReadonlyMap<string, PlanType>): string {
  let content = '';
  for (const { field, before } of plan.slots) {
    const value = inputs.get(field);
    const type = types.get(field);
    if (value !== undefined && type !== undefined) content += before + fieldValueText(type, value);
  }
  content += plan.ending;
  // Where the first inputs are absent, what parts the next one from them comes first and falls away.
  let start = 0;
  while (content.charCodeAt(start) === 10) start++;
  return start === 0 ? content : content.slice(start);
}

const fixed = new WeakMap<RenderedPlan, readonly Message[]>();

function fixedMessages(plan: RenderedPlan): readonly Message[] {
  let messages = fixed.get(plan);
  if (messages === undefined) {
    messages = [{ role: 'system', content: plan.system }, ...plan.demos];
    fixed.set(plan, messages);
  }
  return messages;
}

const types = new WeakMap<PredictorPlan, ReadonlyMap<string, PlanType>>();

function typesOf(predictor: PredictorPlan): ReadonlyMap<string, PlanType> {
  let known = types.get(predictor);
  if (known === undefined) {
    known = new Map(predictor.inputs.map(({ name, type }) => [name, type]));
    types.set(predictor, known);
  }
  return known;
}
