import { openPlan } from '../plan/open-plan.ts';
import type { PredictorPlan, PromptPlan } from '../plan/plan.ts';

/** A type in the plan's JSON: `{kind, args?, values_json?}`. */
export type TypeJson = {
  readonly kind: string;
  readonly args?: readonly TypeJson[];
  readonly values_json?: readonly string[];
};

/** A type without arguments, or one around others. */
export function type(kind: string, ...args: readonly TypeJson[]): TypeJson {
  return args.length === 0 ? { kind } : { kind, args };
}

/** A literal of JSON values. */
export function literal(...values: readonly unknown[]): TypeJson {
  return { kind: 'literal', values_json: values.map((value) => JSON.stringify(value)) };
}

/** One predictor's plan in JSON, with outputs of these types. */
export function predictorJson(
  name: string,
  outputs: Readonly<Record<string, TypeJson>>,
  inputs: readonly string[] = ['q'],
) {
  const adapter = (own: string) => ({
    system: `system of ${own}`,
    demos: [],
    slots: inputs.map((field, index) => ({ field, before: `${index === 0 ? '' : '\n\n'}[[ ## ${field} ## ]]\n` })),
    ending: `\n\nRespond by ${own}.`,
  });
  return {
    name,
    options_json: '{}',
    inputs: inputs.map((field) => ({ name: field, type: { kind: 'str' }, nullable: false })),
    outputs: Object.entries(outputs).map(([field, of]) => ({ name: field, type: of, nullable: isNullable(of) })),
    chat: adapter('chat'),
    json: { ...adapter('json'), response_format_json: '{"type":"json_object"}' },
  };
}

function isNullable(of: TypeJson): boolean {
  return of.kind === 'union' && (of.args ?? []).some(({ kind }) => kind === 'none');
}

/** A plan's JSON around predictors. */
export function planJson(predictors: readonly object[], more: object = {}): string {
  const plan = { format: 1, module: 'predict', settings: {}, outputs: ['a'], dialect: { dspy: '3.4.1' }, predictors };
  return JSON.stringify({ ...plan, ...more });
}

/** An opened plan of Predict with these outputs. */
export function planOf(outputs: Readonly<Record<string, TypeJson>>): PromptPlan {
  return openPlan(planJson([predictorJson('predict', outputs)], { outputs: Object.keys(outputs) }));
}

/** The one predictor of such a plan. */
export function predictorOf(outputs: Readonly<Record<string, TypeJson>>): PredictorPlan {
  return planOf(outputs).predictors[0]!;
}
