import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { PlanType, PredictorPlan, PromptPlan } from '../plan/plan.ts';
import { DoubtError } from '../python/json-text.ts';
import { strip } from '../python/text.ts';
import { isDict, type PythonObject } from '../python/value.ts';
import { fieldValueText, RenderError } from '../render/field-value.ts';
import { contextFailure, inOrder, isCarried, uncarried } from './predict.ts';
import { type CallStep, PredictorCall } from './predictor-call.ts';
import type { ModuleRun, RunSettings, Step } from './step.ts';

const ITERS_DEFAULT = 20;
const ATTEMPTS_MAX = 3;
const KEYS_PER_TURN = 4;
const TEXT: PlanType = { kind: 'str', args: [], values: [] };

/** ReAct in the form of DSPy 3.4: turns of thought, tool and observation in one text, then a chain of thought over them. */
export function reactRun(
  plan: PromptPlan,
  react: PredictorPlan,
  extract: PredictorPlan,
  settings: RunSettings,
): ModuleRun {
  return new ReactRun(plan, react, extract, settings);
}

class ReactRun implements ModuleRun {
  readonly #plan: PromptPlan;
  readonly #react: PredictorPlan;
  readonly #extract: PredictorPlan;
  readonly #settings: RunSettings;
  readonly #trajectory = new Map<string, JsonValue>();
  #inputs: JsonObject = new Map();
  #call: PredictorCall;
  #turn = 0;
  #attempts = 0;
  #extracting = false;
  #tool = '';

  constructor(plan: PromptPlan, react: PredictorPlan, extract: PredictorPlan, settings: RunSettings) {
    this.#plan = plan;
    this.#react = react;
    this.#extract = extract;
    this.#settings = settings;
    this.#call = new PredictorCall(react, settings);
  }

  start(inputs: JsonObject): Step {
    this.#inputs = inputs;
    return this.#think();
  }

  reply(text: string, how?: { readonly streamed?: boolean }): Step {
    return this.#next(this.#call.reply(text, how?.streamed === true));
  }

  parsed(outcome: Parameters<ModuleRun['parsed']>[0]): Step {
    return this.#next(this.#call.parsed(outcome));
  }

  observed(observation: JsonValue): Step {
    this.#trajectory.set(`observation_${this.#turn}`, observation);
    if (this.#tool === 'finish') return this.#conclude();
    this.#turn++;
    return this.#think();
  }

  contextExceeded(): Step {
    const keys = [...this.#trajectory.keys()];
    const canDrop = keys.length > KEYS_PER_TURN;
    if (canDrop) for (const key of keys.slice(0, KEYS_PER_TURN)) this.#trajectory.delete(key);
    this.#attempts++;
    if (canDrop && this.#attempts < ATTEMPTS_MAX) return this.#ask();
    return this.#extracting ? contextFailure() : this.#conclude();
  }

  #think(): Step {
    if (this.#turn >= (this.#plan.settings.get('max_iters') ?? ITERS_DEFAULT)) return this.#conclude();
    this.#attempts = 0;
    return this.#ask();
  }

  #conclude(): Step {
    this.#extracting = true;
    this.#attempts = 0;
    return this.#ask();
  }

  #ask(): Step {
    this.#call = new PredictorCall(this.#extracting ? this.#extract : this.#react, this.#settings);
    try {
      const trajectory = trajectoryText(this.#trajectory);
      return this.#next(this.#call.start(new Map([...this.#inputs, ['trajectory', trajectory]])));
    } catch (error) {
      if (error instanceof RenderError) return { kind: 'failed', pythonType: error.pythonType, message: error.message };
      if (error instanceof DoubtError) return { kind: 'doubtful', why: error.message };
      throw error;
    }
  }

  #next(step: CallStep): Step {
    if (step.kind !== 'read') return step;
    if (this.#extracting) return { kind: 'done', outputs: inOrder(this.#plan, step.outputs) };
    return this.#act(step.outputs);
  }

  #act(outputs: PythonObject): Step {
    const name = outputs.get('next_tool_name');
    const args = outputs.get('next_tool_args');
    if (typeof name !== 'string' || !isDict(args ?? null)) {
      return { kind: 'failed', pythonType: 'TypeError', message: 'the model chose no tool' };
    }
    if (!isCarried(outputs)) return uncarried();
    this.#trajectory.set(`thought_${this.#turn}`, (outputs.get('next_thought') ?? null) as JsonValue);
    this.#trajectory.set(`tool_name_${this.#turn}`, name);
    this.#trajectory.set(`tool_args_${this.#turn}`, args as JsonValue);
    this.#tool = name;
    if (name !== 'finish') return { kind: 'tool', name, args: args as PythonObject };
    const [first] = (args as PythonObject).keys();
    return this.observed(
      first === undefined ? 'Completed.' : `Execution error in finish: Arg ${first} is not in the tool's args.`,
    );
  }
}

function trajectoryText(trajectory: JsonObject): string {
  const turns = [...trajectory].map(([key, value]) => `[[ ## ${key} ## ]]\n${fieldValueText(TEXT, value)}`);
  return strip(turns.join('\n\n'));
}
