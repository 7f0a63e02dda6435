import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { PlanType, PredictorPlan, PromptPlan } from '../plan/plan.ts';
import { DoubtError } from '../python/json-text.ts';
import { pythonText } from '../python/repr.ts';
import { strip } from '../python/text.ts';
import type { PythonObject } from '../python/value.ts';
import { contextFailure, inOrder, outOfTurn, uncarried } from './predict.ts';
import { type CallStep, PredictorCall } from './predictor-call.ts';
import type { ModuleRun, RunSettings, Step } from './step.ts';

/** Asks a chain of thought M times, one after the other, and has the attempts compared. */
export function comparisonRun(
  plan: PromptPlan,
  chain: PredictorPlan,
  compare: PredictorPlan,
  settings: RunSettings,
): ModuleRun {
  const count = plan.settings.get('M') ?? 0;
  const last = compare.outputs.at(-1);
  let call = new PredictorCall(chain, settings);
  let inputs: JsonObject = new Map();
  let compared = false;
  const attempts: string[] = [];
  const next = (step: CallStep): Step => {
    if (step.kind !== 'read') return step;
    if (compared) return { kind: 'done', outputs: inOrder(plan, step.outputs) };
    try {
      const attempt = attemptText(step.outputs, last?.name ?? '');
      if (!attempt.isWellFormed()) return uncarried();
      attempts.push(attempt);
    } catch (error) {
      if (error instanceof DoubtError) return { kind: 'doubtful', why: error.message };
      throw error;
    }
    if (attempts.length < count) {
      call = new PredictorCall(chain, settings);
      return next(call.start(inputs));
    }
    compared = true;
    call = new PredictorCall(compare, settings);
    const shown = attempts.map((text, index): [string, JsonValue] => [`reasoning_attempt_${index + 1}`, text]);
    return next(call.start(new Map([...shown, ...inputs])));
  };
  return {
    start: (given) => {
      if (last === undefined || !isTextual(last.type)) {
        return { kind: 'doubtful', why: 'only Python writes the attempts of this type' };
      }
      inputs = given;
      return next(call.start(inputs));
    },
    reply: (text, how) => next(call.reply(text, how?.streamed === true)),
    parsed: (outcome) => next(call.parsed(outcome)),
    observed: () => outOfTurn('observed'),
    contextExceeded: () => contextFailure(),
  };
}

// Tuples and sets are written otherwise than lists, and where anything may stand they may.
function isTextual({ kind, args }: PlanType): boolean {
  if (kind === 'list' || kind === 'dict') return args.length > 0 && args.every(isTextual);
  return !UNTEXTUAL.has(kind) && args.every(isTextual);
}

const UNTEXTUAL: ReadonlySet<PlanType['kind']> = new Set(['set', 'tuple', 'tuple_variadic', 'any']);

function attemptText(outputs: PythonObject, last: string): string {
  const rationale = outputs.get('rationale') ?? outputs.get('reasoning');
  if (typeof rationale !== 'string') throw new DoubtError('the rationale of an attempt is no text');
  const answer = firstLine(pythonText(outputs.get(last) ?? null));
  return `«I'm trying to ${firstLine(rationale)} I'm not sure but my prediction is ${answer}»`;
}

function firstLine(text: string): string {
  return strip(strip(text).split('\n')[0] ?? '');
}
