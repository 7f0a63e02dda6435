import type { PredictorPlan, PromptPlan } from '../plan/plan.ts';
import { comparisonRun } from './multi-chain-comparison.ts';
import { predictRun } from './predict.ts';
import { wantsMany } from './predictor-call.ts';
import { reactRun } from './react.ts';
import type { ModuleRun, RunSettings, Step } from './step.ts';

/** Makes one run of a program. It does no I/O: its caller asks the model, the tools and the sidecar, and gives it the answers. */
export function createRun(plan: PromptPlan, settings: RunSettings): ModuleRun {
  if (wantsMany(settings.options)) return refusing('several completions at once are asked for in Python alone');
  const named = new Map(plan.predictors.map((predictor) => [predictor.name, predictor]));
  const two = (first: string, second: string, make: (a: PredictorPlan, b: PredictorPlan) => ModuleRun): ModuleRun => {
    const [a, b] = [named.get(first), named.get(second)];
    return a && b ? make(a, b) : refusing('the plan lacks a predictor of its module');
  };
  switch (plan.module) {
    case 'predict':
    case 'chain_of_thought':
      return plan.predictors[0]
        ? predictRun(plan, plan.predictors[0], settings)
        : refusing('the plan has no predictor');
    case 'multi_chain_comparison':
      return two('chain.predict', 'compare.predict', (chain, compare) => comparisonRun(plan, chain, compare, settings));
    case 'react':
      return two('react', 'extract.predict', (react, extract) => reactRun(plan, react, extract, settings));
  }
}

function refusing(why: string): ModuleRun {
  const step = (): Step => ({ kind: 'doubtful', why });
  return { start: step, reply: step, parsed: step, observed: step, contextExceeded: step };
}
