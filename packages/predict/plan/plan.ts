import type { PythonValue } from '../python/value.ts';

// `plan_json` of CompileProgram is this, format 1, in snake case: `default_json`, `values_json`, `options_json` and
// `response_format_json` are JSON texts inside it, so that numbers keep their digits.

/** Everything of a program's prompts that does not depend on the inputs, and what reading replies needs. Immutable. */
export interface PromptPlan {
  /** `predict`, `chain_of_thought`, `react` or `multi_chain_comparison`. */
  readonly module: PlanModule;
  /** Numbers of the module itself: `max_iters` of react, `M` of multi_chain_comparison. */
  readonly settings: ReadonlyMap<string, number>;
  /** The names of the program's outputs, in order. */
  readonly outputs: readonly string[];
  readonly dialect: PlanDialect;
  /** `predict`; `react` and `extract.predict`; `chain.predict` and `compare.predict`. */
  readonly predictors: readonly PredictorPlan[];
}

/** The modules whose flow this package knows. */
export type PlanModule = 'predict' | 'chain_of_thought' | 'react' | 'multi_chain_comparison';

/** What decides the bytes of prompts and the reading of replies: versions of `dspy`, `json_repair`, `pydantic` and `python`. */
export type PlanDialect = Readonly<Record<string, string>>;

/** The two ways to ask. */
export type PromptAdapter = 'chat' | 'json';

/** One predictor: what it asks and how its replies are read. */
export interface PredictorPlan {
  /** Its path in the program, such as `extract.predict`. */
  readonly name: string;
  /** Options of its own LM calls as JSON text; the run's win over them not. */
  readonly optionsJson: string;
  readonly inputs: readonly PlanField[];
  readonly outputs: readonly PlanField[];
  readonly chat: AdapterPlan;
  readonly json: JsonAdapterPlan;
}

/** A field as prompts and replies see it. */
export interface PlanField {
  readonly name: string;
  readonly type: PlanType;
  /** True if a reply may leave it out and it is then None. */
  readonly nullable: boolean;
  /** The value of a field that is left out; absent if there is none. */
  readonly default?: PythonValue;
}

/** A Python type as data. */
export interface PlanType {
  readonly kind: PlanTypeKind;
  readonly args: readonly PlanType[];
  /** The members of a literal. */
  readonly values: readonly PythonValue[];
}

/** The kinds of types; a container without arguments is bare. */
export const planTypeKinds = [
  'str',
  'int',
  'float',
  'bool',
  'any',
  'none',
  'list',
  'dict',
  'tuple',
  'tuple_variadic',
  'set',
  'union',
  'literal',
] as const;

/** The kind of a type. */
export type PlanTypeKind = (typeof planTypeKinds)[number];

/** One chat message. */
export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** One adapter's text, or why DSPy cannot make it (a demo that it refuses to show). */
export type AdapterPlan = RenderedPlan | { readonly fault: PlanFault };

/** The JSON adapter's text, with the `response_format` that DSPy sends where the endpoint takes schemas, as JSON text. */
export type JsonAdapterPlan = AdapterPlan & { readonly responseFormatJson: string };

/** What Python raised. */
export interface PlanFault {
  readonly pythonType: string;
  readonly message: string;
}

/** The fixed parts of a prompt, in order: system message, demos, and the user message's slots. */
export interface RenderedPlan {
  readonly system: string;
  readonly demos: readonly Message[];
  /** What stands before each input's text, line ends that part it from the one before included. */
  readonly slots: readonly { readonly field: string; readonly before: string }[];
  /** What stands after the last input: the reminder. */
  readonly ending: string;
}
