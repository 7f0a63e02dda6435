import { AppError } from '@signet/kit/error/app-error.ts';
import type { Candidate } from './best-so-far.ts';
import type { StepKind } from './optimization.ts';

/** What the policy is told. */
export type BeaconPlan = {
  readonly steps: readonly StepKind[];
  /** How many steps may bring nothing before it stops. */
  readonly patience: number;
  /** By how much the score must rise for a step to have brought something. */
  readonly minGain: number;
  readonly maxDemos: number;
  readonly trainCount: number;
  readonly validationCount: number;
};

/** What the policy does; both fail with BUDGET_EXCEEDED once the budget is used up. */
export type BeaconActions = {
  /**
   * Measures a state on the validation split, and gives it as it was measured; an empty one is the program as it is, which `of` calls
   * `base`, else the step that made it.
   */
  evaluate(stateJson: string, of: StepKind | 'base'): Promise<{ readonly stateJson: string; readonly score: number }>;
  /** Has one optimizer go on from a state. What it measured itself counts for nothing: optimizers measure differently. */
  improve(step: StepKind, config: Readonly<Record<string, unknown>>, stateJson: string): Promise<Candidate>;
  /** Says what it does, for people. */
  tell(message: string): void;
};

/** What the policy came to: the best state, which is that of the program as it is if nothing was better. */
export type BeaconResult = Candidate & { readonly isExhausted: boolean };

// A score that cannot rise any more.
const perfect = 1;

/**
 * Begins with what costs nothing and goes on, each step from the best state so far, as long as the score on the validation split rises: it
 * stops after `patience` steps that brought nothing, at a perfect score, or where the budget ends. Measures every result itself, so that
 * steps can be compared. Deterministic: the same plan over the same answers takes the same way. BUDGET_EXCEEDED if not even the program as
 * it is could be measured.
 */
export async function runBeacon(plan: BeaconPlan, actions: BeaconActions): Promise<BeaconResult> {
  let best = await actions.evaluate('', 'base');
  let misses = 0;
  try {
    for (const step of plan.steps) {
      if (best.score >= perfect) break;
      const { stateJson } = await improveOrSkip(plan, actions, step, best.stateJson);
      if (stateJson === '') continue;
      const found = await actions.evaluate(stateJson, step);
      const gain = found.score - best.score;
      const isGain = gain > 0 && gain >= plan.minGain;
      actions.tell(`${step}: ${shown(best.score)} → ${shown(found.score)}${isGain ? '' : ', which is no gain'}`);
      if (isGain) {
        best = found;
        misses = 0;
        continue;
      }
      misses += 1;
      if (misses >= plan.patience) break;
    }
  } catch (error) {
    if (!isExhausted(error)) throw error;
    return { ...best, isExhausted: true };
  }
  return { ...best, isExhausted: false };
}

// What one optimizer cannot work with, too few examples for it or an agent, is no reason to give up on the others.
async function improveOrSkip(
  plan: BeaconPlan,
  actions: BeaconActions,
  step: StepKind,
  stateJson: string,
): Promise<Candidate> {
  try {
    return await actions.improve(step, configOf(step, plan), stateJson);
  } catch (error) {
    const isItsOwn =
      error instanceof AppError && (error.reason === 'INVALID_REQUEST' || error.reason === 'MODULE_FAILED');
    if (!isItsOwn) throw error;
    actions.tell(`${step} was left out: ${error.message.slice(0, 500)}`);
    return { stateJson: '', score: undefined };
  }
}

/** True for the end of a budget. */
export function isExhausted(error: unknown): boolean {
  return error instanceof AppError && error.reason === 'BUDGET_EXCEEDED';
}

function shown(score: number): string {
  return score.toFixed(3);
}

/** How each step is set: small, since the next one goes on from there. */
function configOf(step: StepKind, { maxDemos, trainCount, validationCount }: BeaconPlan): Record<string, unknown> {
  const demos = { max_bootstrapped_demos: maxDemos, max_labeled_demos: maxDemos };
  switch (step) {
    case 'labeled_few_shot':
      return { k: maxDemos };
    case 'bootstrap':
      return demos;
    case 'random_search':
      return { ...demos, num_candidate_programs: 6 };
    case 'infer_rules':
      return { ...demos, num_candidates: 3 };
    case 'copro':
      return { breadth: 4, depth: 2 };
    case 'mipro':
      return { ...demos, num_candidates: 6, num_trials: 10 };
    case 'gepa':
      return { max_metric_calls: Math.min(10 * validationCount + 60, 1_000_000) };
    case 'simba':
      return { bsize: Math.min(16, trainCount), num_candidates: 4, max_steps: 4, max_demos: maxDemos };
    case 'custom':
      return {};
  }
}
