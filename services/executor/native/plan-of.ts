import { openPlan, PlanError } from '@signet/predict/plan/open-plan.ts';
import type { PromptPlan } from '@signet/predict/plan/plan.ts';
import { EngineDeclined, type EngineProgram } from '../engine/engine.ts';

const opened = new WeakMap<EngineProgram, PromptPlan>();

/** The plan of a program, opened once. Throws EngineDeclined for a program without one, and for one of a format of another time. */
export function planOf(program: EngineProgram): PromptPlan {
  const known = opened.get(program);
  if (known !== undefined) return known;
  const { planJson, nativeFault } = program;
  if (planJson === '') throw new EngineDeclined('native', nativeFault || 'the version has no prompt plan');
  try {
    const plan = openPlan(planJson);
    opened.set(program, plan);
    return plan;
  } catch (error) {
    if (error instanceof PlanError) throw new EngineDeclined('native', error.message);
    throw error;
  }
}
