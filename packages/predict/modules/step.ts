import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { ParseReason, SettledOutcome } from '../parse/outcome.ts';
import type { Message, PlanField, PromptAdapter } from '../plan/plan.ts';
import type { PythonObject } from '../python/value.ts';

/** What a run needs to know beside its plan. */
export interface RunSettings {
  readonly adapter: PromptAdapter;
  /** What the endpoint takes as `response_format`. */
  readonly lm: { readonly jsonSchema: boolean; readonly jsonObject: boolean };
  /** Options of every LM call: the endpoint's, the program's and the call's, merged. A predictor's own win over them. */
  readonly options: JsonObject;
  /** Whether a reply that the Chat adapter cannot read is asked for once more as JSON; true unless said. */
  readonly fallback?: boolean;
}

/** What a run wants next. After `done`, `failed` and `doubtful` it wants nothing more. */
export type Step = LmAsk | ParseAsk | ToolAsk | Done | Failed | Doubtful;

/** Ask the model; answer with `reply`, or `contextExceeded` where the model refuses a prompt of this length. */
export interface LmAsk {
  readonly kind: 'lm';
  readonly predictor: string;
  readonly adapter: PromptAdapter;
  readonly messages: readonly Message[];
  /** Everything of the request but model and messages, `response_format` included. */
  readonly options: JsonObject;
  /** What the reply is to contain, in order. */
  readonly outputs: readonly PlanField[];
}

/** Have the sidecar read this completion; answer with `parsed`. */
export interface ParseAsk {
  readonly kind: 'parse';
  readonly predictor: string;
  readonly adapter: PromptAdapter;
  readonly completion: string;
  readonly why: string;
}

/** Call a tool; answer with `observed`. */
export interface ToolAsk {
  readonly kind: 'tool';
  readonly name: string;
  readonly args: PythonObject;
}

/** The run's outputs in the program's order. */
export interface Done {
  readonly kind: 'done';
  readonly outputs: PythonObject;
}

/** What DSPy would raise. AdapterParseError and `exception` mean that the reply cannot be read. */
export interface Failed {
  readonly kind: 'failed';
  readonly pythonType: string;
  readonly message: string;
  /** Given where a reply could not be read. */
  readonly reason?: ParseReason;
}

/** Python has to run this one. It comes before the first LM call, or, rarely, where only Python can write an attempt's text. */
export interface Doubtful {
  readonly kind: 'doubtful';
  readonly why: string;
}

/** One run of a module. The caller does all I/O; each method gives what is wanted next. */
export interface ModuleRun {
  /** Begins; fills inputs that are left out with their defaults, as DSPy's Predict does. */
  start(inputs: JsonObject): Step;
  /** Gives the whole completion. `streamed`: text of it was shown, so it is not asked for in another form. */
  reply(text: string, how?: { readonly streamed?: boolean }): Step;
  /** Gives what ParseCompletion said. */
  parsed(outcome: SettledOutcome): Step;
  /** Gives what a tool answered, in words where it failed. */
  observed(observation: JsonValue): Step;
  /** Says that the model refused the prompt's length. */
  contextExceeded(): Step;
}
