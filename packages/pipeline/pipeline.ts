import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { Field } from '@signet/signature/types.ts';

/** The kinds of steps, as a checked pipeline has them. */
export const stepKinds = ['action', 'module', 'python', 'group', 'function', 'signature'] as const;

/** What a step is. */
export type StepKind = (typeof stepKinds)[number];

/** What happens when a step fails for good: the run fails, the step's result is null, or its compensation runs in its place. */
export type OnError = 'fail' | 'skip' | 'compensate';

/** Where a reference begins: the run's input, the results of steps, or, in a compensation or an undo step, why the step failed. */
export type Root = 'input' | 'steps' | 'error';

/** A value that is known when the step begins. */
export type Binding =
  | { readonly kind: 'literal'; readonly value: JsonValue }
  /** A place in what is there; a member that is missing there is null. */
  | { readonly kind: 'ref'; readonly root: Root; readonly path: readonly (string | number)[] }
  /** A CEL expression over `input`, `steps` and `error`. */
  | { readonly kind: 'cel'; readonly expression: string }
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Binding> }
  | { readonly kind: 'list'; readonly items: readonly Binding[] };

/** What every step has. */
export type StepBase = {
  /** Unique in the whole pipeline, those of groups, compensations and undo steps included. */
  readonly id: string;
  /** The outermost steps that must have ended before this one begins; for a step of a group its group waits for them. */
  readonly needs: readonly string[];
  /** The step runs only if this is true; a step that does not run has the result null and does not count as failed. */
  readonly when?: Binding;
  /** How long all attempts of the step may take together, its compensation not counted. */
  readonly timeoutMs?: number;
  /** How often a failed step is tried anew; 0 to 10. */
  readonly retries: number;
  readonly onError: OnError;
  /** There if and only if `onError` is `compensate`. Its result stands for the step's. Sees `error`. */
  readonly compensate?: Step;
  /** Runs if the step ended well and the run failed later. Sees the results of all steps that ended, its own included, and `error`. */
  readonly undo?: Step;
};

/** Asks something of Signet itself: so far `parse` of the resource `signature`, whose result is the parsed signature. */
export type ActionStep = StepBase & {
  readonly kind: 'action';
  readonly resource: 'signature';
  readonly action: 'parse';
  readonly input: Binding;
};

/** Executes a registered module; its result are the module's outputs. */
export type ModuleStep = StepBase & {
  readonly kind: 'module';
  /** The module's name when the pipeline was composed. */
  readonly module: string;
  readonly moduleId: string;
  readonly input: Binding;
};

/** Executes a signature without a registered module; its result are the signature's outputs. */
export type SignatureStep = StepBase & {
  readonly kind: 'signature';
  /** In canonical form. */
  readonly signature: string;
  readonly module: 'predict' | 'chain_of_thought';
  /** A language model's slug; empty for the default one. */
  readonly lm: string;
  /** Empty for the signature's own. */
  readonly instructions: string;
  readonly input: Binding;
};

/** Calls a Python class or function of the allow-list; its result is what that gives back. */
export type PythonStep = StepBase & {
  readonly kind: 'python';
  /** Such as `dspy.ColBERTv2`. */
  readonly module: string;
  /** Keywords with which a class is made. */
  readonly kwargs: JsonObject;
  /** Keywords of the call. */
  readonly input: Binding;
};

/** Calls a function of Signet or one that the operator registered. */
export type FunctionStep = StepBase & {
  readonly kind: 'function';
  readonly function: string;
  readonly input: Binding;
};

/** Runs steps at the same time; its result is an object of theirs, by id, without those that failed or were skipped. */
export type GroupStep = StepBase & {
  readonly kind: 'group';
  /** None of them needs another one. */
  readonly steps: readonly Step[];
  /** How many run at once; 1 means one after the other in their order. */
  readonly maxConcurrency: number;
  /** How many must end well, whatever their `onError`; absent: one that fails with `onError` `fail` fails the group. */
  readonly minSuccess?: number;
};

/** One step of a pipeline. */
export type Step = ActionStep | ModuleStep | SignatureStep | PythonStep | FunctionStep | GroupStep;

/** A checked pipeline: a directed graph without cycles. Never changes. */
export type Pipeline = {
  /** What a run is given. */
  readonly inputs: readonly Field[];
  /** What a run gives back, where that is known; otherwise empty. */
  readonly outputs: readonly Field[];
  /** Each after those that it needs; otherwise in the order of the spec. */
  readonly steps: readonly Step[];
  /** What a run gives back; a value that is no object is given as `{"result": value}`. */
  readonly return: Binding;
};

/** What a binding may look at. A step that has not run, was skipped or failed has no entry, or null. */
export type Scope = {
  readonly input: JsonObject;
  readonly steps: JsonObject;
  /** `{reason, message}` of what failed, for compensations and undo steps. */
  readonly error?: JsonObject;
};

/** The bounds of a pipeline; each is refused with its own message. */
export const pipelineLimits = {
  /** Steps in all, those of groups, compensations and undo steps included. */
  stepsMax: 1000,
  /** Groups in groups. */
  groupDepthMax: 4,
  /** UTF-8 bytes of a spec as JSON text. */
  specBytesMax: 262_144,
  /** Steps of one group that run at once. */
  concurrencyMax: 100,
  retriesMax: 10,
  /** One day. */
  timeoutMsMax: 86_400_000,
  /** Characters of a CEL expression. */
  expressionCharactersMax: 2000,
  /** Parts of a CEL expression: names, constants, calls. */
  expressionPartsMax: 400,
  /** Loops (`map`, `filter`, `all` …) in each other. */
  expressionLoopsMax: 2,
  /** Turns of all loops of one evaluation. */
  expressionTurnsMax: 20_000,
  /** JSON characters that a value out of an expression may have. */
  expressionResultMax: 4_194_304,
  /** Faults that one check reports. */
  faultsMax: 100,
} as const;
