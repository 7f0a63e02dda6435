import type { Context } from '@opentelemetry/api';
import type { JsonObject } from '@signet/signature/json.ts';
import type { SignatureSpec } from '@signet/signature/types.ts';

/** The engines there are. */
export type EngineName = 'python' | 'native' | 'mock';

/** Where a language model is, with its credential opened. Never logged, never stored. */
export type LmEndpoint = {
  /** In DSPy's form, `openai/NAME`. */
  readonly model: string;
  /** Such as `https://api.example.com/v1`. */
  readonly apiBase: string;
  readonly apiKey: string;
  /** How replies are forced into form: a GBNF grammar (Chat adapter), a JSON schema (JSON adapter), or not at all. */
  readonly constrained: 'grammar' | 'json_schema' | 'none';
};

/** One version of a program as an engine sees it; immutable. */
export type EngineProgram = {
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  /** A content hash of all that decides how it runs; equal programs have equal refs. */
  readonly ref: string;
  readonly signature: SignatureSpec;
  /** `predict` or `chain_of_thought`. */
  readonly module: string;
  readonly promptAdapter: 'chat' | 'json';
  /** Empty means DSPy's own sentence. */
  readonly instructions: string;
  /** JSON objects of field values. */
  readonly demosJson: readonly string[];
  /** Options of every LM call, as DSPy and OpenAI name them (temperature, max_tokens …). */
  readonly lmOptions: JsonObject;
  /** What the program's owner keeps with its configuration; absent if nothing. No engine but the mock may act on it. */
  readonly metadata?: JsonObject;
};

/** What preparing a program version gave. */
export type Prepared = {
  /** An opaque name, never empty. */
  readonly dspyProgramId: string;
  /** What decides its prompts; empty for engines without prompts. */
  readonly dialect: Readonly<Record<string, string>>;
};

/** What an engine tells while it runs. */
export type EngineEvent =
  | { readonly kind: 'token'; readonly predictor: string; readonly field: string; readonly text: string }
  | { readonly kind: 'step'; readonly step: string; readonly status: 'started' | 'completed' | 'failed' };

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
  /** How often a failed LM call is repeated. */
  readonly maxRetries: number;
  /** Given when somebody keeps or hears what happens. */
  readonly onEvent?: (event: EngineEvent) => void;
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
};

/**
 * Runs programs. Every implementation passes `engine.suite.ts`. Failures are AppErrors with a reason of the contract: ENGINE_UNAVAILABLE
 * (nothing there to run it; it has not begun), WORKER_LOST (it may have begun), MODULE_INVALID, LM_…, MODULE_FAILED, DEADLINE_EXCEEDED, CANCELLED.
 */
export type Engine = {
  readonly name: EngineName;
  /** True if a run could begin now. */
  ready(): boolean;
  /** Makes sure that a program version can be run. Throws MODULE_INVALID or SIGNATURE_TYPE if it never can. */
  prepare(program: EngineProgram, ctx: { signal: AbortSignal; deadlineMs: number; trace: Context }): Promise<Prepared>;
  /** Runs once. `inputs` are checked and complete; `inputsJson` is their text. */
  run(program: EngineProgram, inputs: JsonObject, inputsJson: string, ctx: RunContext): Promise<EngineRun>;
  close(): Promise<void>;
};
