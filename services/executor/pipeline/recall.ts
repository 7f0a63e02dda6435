import { setImmediate } from 'node:timers/promises';
import { evaluateCondition } from '@signet/pipeline/evaluate.ts';
import { ExpressionError } from '@signet/pipeline/expression/expression-error.ts';
import type { GroupStep, Pipeline, Scope, Step } from '@signet/pipeline/pipeline.ts';
import { isObject, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { StepOutcome } from '../execution/store.postgres.ts';

/** What a run of a pipeline has come to, whoever ran its steps. */
export type Recalled = {
  /** By the ids of the outermost steps. */
  readonly results: ReadonlyMap<string, JsonValue>;
  /** Steps that ended well by themselves, those of groups included, in the order of their ends. */
  readonly ended: readonly Step[];
  /** True for a step, such as one that undoes another, that ended well. */
  readonly isDone: (step: Step) => Promise<boolean>;
};

type Found = { readonly value: JsonValue; readonly endMs: number };

type Kept = {
  readonly outcomes: ReadonlyMap<string, StepOutcome>;
  readonly scope: Scope;
  readonly ended: { readonly step: Step; readonly endMs: number }[];
};

/**
 * Tells by what is kept of its steps what a run has come to. A step that ended well in any of its tries has; one that was never begun, and
 * what needs it, has no result.
 */
export async function recall(
  { pipeline, inputs }: { readonly pipeline: Pipeline; readonly inputs: JsonObject },
  outcomes: readonly StepOutcome[],
): Promise<Recalled> {
  const results = new Map<string, JsonValue>();
  const ends = new Map<string, number>();
  const kept: Kept = { outcomes: lastWell(outcomes), scope: { input: inputs, steps: results }, ended: [] };
  for (const step of pipeline.steps) {
    if (!step.needs.every((id) => results.has(id))) continue;
    // What is used before it is committed may be committed later than what was made of it.
    const found = await outcomeOf(kept, step, Math.max(0, ...step.needs.map((id) => ends.get(id)!)));
    if (found === undefined) continue;
    results.set(step.id, found.value);
    ends.set(step.id, found.endMs);
  }
  const ended = kept.ended.toSorted((one, other) => one.endMs - other.endMs).map(({ step }) => step);
  return { results, ended, isDone: async (step) => (await byItself({ ...kept, ended: [] }, step, 0)) !== undefined };
}

function lastWell(outcomes: readonly StepOutcome[]): Map<string, StepOutcome> {
  const well = outcomes.filter(({ status }) => status === 'completed');
  return new Map(well.toSorted((one, other) => one.endMs - other.endMs).map((outcome) => [outcome.step, outcome]));
}

/** A step with its condition and what stands in for it; undefined if it came to no result. */
async function outcomeOf(
  kept: Kept,
  step: Step,
  sinceMs: number,
): Promise<(Found & { readonly isWell: boolean }) | undefined> {
  const nothing = { value: null, endMs: sinceMs, isWell: false };
  const isWanted = await isMet(kept, step);
  if (isWanted === false) return nothing;
  const found = isWanted === undefined ? undefined : await byItself(kept, step, sinceMs);
  if (found !== undefined) {
    kept.ended.push({ step, endMs: found.endMs });
    return { ...found, isWell: true };
  }
  if (step.onError === 'skip') return nothing;
  const other = step.compensate && (await byItself(kept, step.compensate, sinceMs));
  return other && { ...other, isWell: true };
}

/** Undefined if the condition fails, which is its step's failure. */
async function isMet({ scope }: Kept, { when }: Step): Promise<boolean | undefined> {
  if (when === undefined) return true;
  // Conditions compute: leases are renewed between them.
  await setImmediate();
  try {
    return evaluateCondition(when, scope);
  } catch (error) {
    if (error instanceof ExpressionError) return undefined;
    throw error;
  }
}

async function byItself(kept: Kept, step: Step, sinceMs: number): Promise<Found | undefined> {
  if (step.kind === 'group') return groupOf(kept, step, sinceMs);
  const outcome = kept.outcomes.get(step.id);
  if (outcome === undefined) return undefined;
  const outputs = parseJson(outcome.outputsJson);
  const isPlain = step.kind === 'module' || step.kind === 'signature';
  const value = isPlain || !isObject(outputs) ? outputs : (outputs.get('result') ?? null);
  return { value, endMs: Math.max(outcome.endMs, sinceMs) };
}

async function groupOf(kept: Kept, { steps, minSuccess }: GroupStep, sinceMs: number): Promise<Found | undefined> {
  const found: (readonly [string, Awaited<ReturnType<typeof outcomeOf>>])[] = [];
  for (const step of steps) found.push([step.id, await outcomeOf(kept, step, sinceMs)]);
  const well = found.flatMap(([id, outcome]) => (outcome?.isWell ? [[id, outcome.value] as const] : []));
  const isWell =
    minSuccess === undefined ? found.every(([, outcome]) => outcome !== undefined) : well.length >= minSuccess;
  if (!isWell) return undefined;
  return { value: new Map(well), endMs: Math.max(sinceMs, ...found.map(([, outcome]) => outcome?.endMs ?? 0)) };
}
