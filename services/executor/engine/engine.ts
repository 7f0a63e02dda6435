import type { Context } from '@opentelemetry/api';
import type { JsonObject } from '@signet/signature/json.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';
import type { LmCalls } from '../lm/language-model.ts';

/** The engines there are. */
export type EngineName = 'python' | 'native' | 'mock';

/** How a language model's endpoint is spoken to. */
export type LmProvider = 'openai' | 'anthropic' | 'gemini';

/** What a language model's endpoint can do beyond a plain answer. */
export type LmCapabilities = {
  readonly jsonSchema: boolean;
  readonly jsonObject: boolean;
  readonly grammar: boolean;
  readonly streaming: boolean;
  readonly tools: boolean;
};

/** Where a language model is and how it is asked, with its credential opened. Never logged, never stored. */
export type LmEndpoint = {
  /** The name that programs and calls choose it by; `default` for what the environment names. */
  readonly slug: string;
  readonly provider: LmProvider;
  /** In DSPy's form, `openai/NAME`, `anthropic/NAME` or `gemini/NAME`. */
  readonly model: string;
  /** Such as `https://api.example.com/v1`; no slash at its end. */
  readonly apiBase: string;
  readonly apiKey: string;
  /** How replies are forced into form: a GBNF grammar (Chat adapter), a JSON schema (JSON adapter), or not at all. */
  readonly constrained: 'grammar' | 'json_schema' | 'none';
  readonly capabilities: LmCapabilities;
  /** True if it may stand at a private address: the environment's may, one of the API's only if the operator allows it. */
  readonly allowPrivate: boolean;
  /** Options of every call, as DSPy and OpenAI name them; the program's and the call's own win. */
  readonly parameters: JsonObject;
  /** How long one attempt may take; absent means until the call's deadline. */
  readonly timeoutMs?: number;
  /** How many calls may be under way at once, in one executor. */
  readonly concurrencyMax?: number;
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly prices?: LmPrices;
  /** Asked in this order when it cannot answer; at most five, none of which has fallbacks of its own. */
  readonly fallbacks: readonly LmEndpoint[];
};

/** What a million tokens cost. */
export type LmPrices = {
  readonly inputPerMillion: number;
  readonly outputPerMillion: number;
  readonly currency: 'USD';
};

/** One version of a program as an engine sees it; immutable. */
export type EngineProgram = {
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  /** A content hash of all that decides how it runs; equal programs have equal refs. */
  readonly ref: string;
  readonly signature: SignatureSpec;
  /** `predict`, `chain_of_thought`, `react`, `multi_chain_comparison`, `best_of_n`, `refine`, `program_of_thought` or `python:NAME`. */
  readonly module: string;
  /** The module's own settings by DSPy's constructor names; absent if none are set. */
  readonly moduleConfig?: JsonObject;
  /** What DSPy had saved of each predictor, a JSON object by their names; absent if instructions and demos say everything. */
  readonly stateJson?: string;
  readonly promptAdapter: 'chat' | 'json';
  /** Empty means DSPy's own sentence. */
  readonly instructions: string;
  /** JSON objects of field values. */
  readonly demosJson: readonly string[];
  /** Options of every LM call, as DSPy and OpenAI name them (temperature, max_tokens …). */
  readonly lmOptions: JsonObject;
  /** The prompt plan of its preparation, as JSON text; empty if there is none. */
  readonly planJson: string;
  /** Why there is no plan; empty if there is one or it was prepared without. */
  readonly nativeFault: string;
  /** What decided its prompts when it was prepared; absent if it was not. */
  readonly dialect?: Dialect;
  /** What the program's owner keeps with its configuration; absent if nothing. No engine but the mock may act on it. */
  readonly metadata?: JsonObject;
};

/** The versions of what decides prompts and the reading of replies: dspy, json_repair, pydantic, python; perhaps the adapter. */
export type Dialect = Readonly<Record<string, string>>;

/** What preparing a program version gave. */
export type Prepared = {
  /** An opaque name, never empty. */
  readonly dspyProgramId: string;
  /** What decides its prompts; empty for engines without prompts. */
  readonly dialect: Dialect;
  /** The prompt plan from which the native engine serves, as JSON text; empty if there is none. */
  readonly planJson: string;
  /** Why there is no plan although it can be run; empty if there is one. */
  readonly nativeFault: string;
};

/** What an engine tells while it runs. */
export type EngineEvent =
  | { readonly kind: 'token'; readonly predictor: string; readonly field: string; readonly text: string }
  | {
      readonly kind: 'step';
      readonly step: string;
      readonly status: 'started' | 'completed' | 'failed' | 'skipped';
      /** The step's own execution; absent if it has none. */
      readonly childId?: string;
    };

/** The surroundings of one run. */
export type RunContext = {
  readonly executionId: string;
  /** Aborted with an AppError CANCELLED or DEADLINE_EXCEEDED. The engine must come back within 2 s of it. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  /** The span below which the engine's spans stand. */
  readonly trace: Context;
  readonly lm: LmEndpoint | undefined;
  /** What keeps the calls of the run; whoever asks a model hands it on. Absent means nobody does. */
  readonly lmCalls?: LmCalls | undefined;
  /** How often a failed LM call is repeated. */
  readonly maxRetries: number;
  /** Above 1 if another run of the execution was lost before this one; absent means 1. */
  readonly attempts?: number;
  /** True once the execution is another process's; absent means that nobody can tell. An abort before that hides it. */
  readonly isLost?: () => boolean;
  /** Given when somebody keeps or hears what happens. */
  readonly onEvent?: (event: EngineEvent) => void;
  /** Set once a process was lost that ran it together with others: from then on it runs in a process of its own. */
  alone?: boolean;
  /** True for one of many that nobody waits for on the line: then it may run where there is room for many. */
  readonly isBulk?: boolean;
  /** True once text was told: from then on nothing may contradict it. */
  readonly hasShownText?: boolean;
  /** True if somebody hears the text as it grows: then the model is asked for a stream, and tokens are told. */
  readonly wantsText: boolean;
};

/** What a run gave. The outputs are as untrusted as any input: the caller checks them. */
export type EngineRun = {
  /** JSON text of an object in signature order, every digit kept. */
  readonly outputsJson: string;
  readonly lmCalls: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Milliseconds that the run waited for a place before it began. */
  readonly queueMs: number;
  /** Which process ran it, for logs; empty in process. */
  readonly worker: string;
  /** True if it was answered from the result cache, false if the cache was looked into; absent if nobody asked for it. */
  readonly cacheHit?: boolean;
  /** How many replies the native engine had DSPy read. */
  readonly handedOver?: number;
  /** Which engine ran it in the end and why; absent if there was no choice. */
  readonly routing?: Routing;
  /** What a pipeline's run came to; absent for others. */
  readonly pipeline?: { readonly steps: number; readonly degraded: boolean };
};

/** How a run came to its engine. */
export type Routing = {
  readonly engine: EngineName;
  /** Undefined for an answer that was given before. */
  readonly strategy: RoutingStrategy | undefined;
  /** Such as `preferred`, `explored`, `python: WORKER_LOST`, `native: the module has no plan`. */
  readonly reason: string;
  /** True if it was not the engine that the strategy would take. */
  readonly degraded: boolean;
};

/** How an engine is chosen where several may serve. */
export type RoutingStrategy = 'native_first' | 'python_first' | 'performance_based';

/**
 * Says that an engine cannot do this run although it can do others; nothing was begun, no model asked. The router takes the next engine.
 */
export class EngineDeclined extends Error {
  readonly engine: EngineName;

  constructor(engine: EngineName, why: string) {
    super(why);
    this.name = 'EngineDeclined';
    this.engine = engine;
  }
}

/** How a run begins. */
export type RenderedPrompt = {
  readonly predictor: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  /** What else the first call carries. */
  readonly options: JsonObject;
};

/**
 * Runs programs. Every implementation passes `engine.suite.ts`. Failures are AppErrors with a reason of the contract: ENGINE_UNAVAILABLE
 * (nothing there to run it; it has not begun), WORKER_LOST (it may have begun; with `repeat: alone` in its metadata it was lost together
 * with others and may be run again with `alone`), MODULE_INVALID, LM_…, MODULE_FAILED, DEADLINE_EXCEEDED, CANCELLED.
 */
export type Engine = {
  readonly name: EngineName;
  /** True for one that may come back later than 2 s after an abort, because it undoes things first. */
  readonly settlesItself?: boolean;
  /** True if a run could begin now. */
  ready(): boolean;
  /** Makes sure that a program version can be run. Throws MODULE_INVALID or SIGNATURE_TYPE if it never can. */
  prepare(program: EngineProgram, ctx: { signal: AbortSignal; deadlineMs: number; trace: Context }): Promise<Prepared>;
  /** Runs once. `inputs` are checked and complete; `inputsJson` is their text. */
  run(program: EngineProgram, inputs: JsonObject, inputsJson: string, ctx: RunContext): Promise<EngineRun>;
  /** Shows the messages with which a run begins; absent if the engine has no prompts. Throws MODULE_FAILED where DSPy refuses to show a value. */
  render?(
    program: EngineProgram,
    inputs: JsonObject,
    ctx: { readonly lm: LmEndpoint | undefined; readonly signal: AbortSignal; readonly deadlineMs: number },
  ): Promise<RenderedPrompt>;
  /** The dialects of the processes that are there now; absent or empty if none has said. The same object until that changes. */
  dialects?(): readonly Dialect[];
  close(): Promise<void>;
};
