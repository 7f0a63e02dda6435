import type { JsonObject } from '@signet/signature/json.ts';
import type { PredictorPlan, PromptPlan } from '../plan/plan.ts';
import { isDict, isList, type PythonObject, type PythonValue } from '../python/value.ts';
import { type CallStep, PredictorCall } from './predictor-call.ts';
import type { Failed, ModuleRun, RunSettings, Step } from './step.ts';

/** Predict and ChainOfThought: one predictor, asked once. */
export function predictRun(plan: PromptPlan, predictor: PredictorPlan, settings: RunSettings): ModuleRun {
  const call = new PredictorCall(predictor, settings);
  const next = (step: CallStep): Step =>
    step.kind === 'read' ? { kind: 'done', outputs: inOrder(plan, step.outputs) } : step;
  return {
    start: (inputs: JsonObject) => next(call.start(inputs)),
    reply: (text, how) => next(call.reply(text, how?.streamed === true)),
    parsed: (outcome) => next(call.parsed(outcome)),
    observed: () => outOfTurn('observed'),
    contextExceeded: () => contextFailure(),
  };
}

/** The program's outputs, in its order. */
export function inOrder(plan: PromptPlan, outputs: PythonObject): PythonObject {
  const ordered = new Map<string, PythonValue>();
  for (const name of plan.outputs) {
    const value = outputs.get(name);
    if (value !== undefined) ordered.set(name, value);
  }
  return ordered;
}

/** What a run answers to a call that it did not ask for. */
export function outOfTurn(call: string): never {
  throw new TypeError(`\`${call}\` is not what the run waits for`);
}

/** What DSPy raises where the prompt stays too long. */
export function contextFailure(): Failed {
  return {
    kind: 'failed',
    pythonType: 'ContextWindowExceededError',
    message: 'the prompt is longer than the model takes',
  };
}

/** True if every text in a value is one that a request can carry. */
export function isCarried(value: PythonValue): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (isList(value)) return value.every(isCarried);
  if (isDict(value)) return [...value].every(([key, member]) => key.isWellFormed() && isCarried(member));
  return true;
}

/** What becomes of a reply with half a surrogate pair in what is to be shown to the model again. */
export function uncarried(): Failed {
  const message = 'the reply holds half a surrogate pair, which no request can carry';
  return { kind: 'failed', pythonType: 'UnicodeEncodeError', message, reason: { kind: 'exception' } };
}
