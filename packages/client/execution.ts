import type { JsonObject } from './json.ts';
import type { SignetError } from './signet-error.ts';

/** Where an execution stands. */
export type ExecutionStatus = 'unspecified' | 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** Which code runs a program. */
export type EngineName = 'python' | 'native' | 'mock';

/** How one run is to be made; what is left out is left to the program. */
export type RunOptions = {
  /** How often a failed call of the model is repeated; at most 10. */
  readonly maxRetries?: number;
  readonly cache?: boolean;
  readonly engine?: EngineName;
  /** Default the serving version. */
  readonly version?: number;
  /** A language model's slug. */
  readonly lm?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Anything to keep with the execution. */
  readonly keep?: JsonObject;
};

/** How an execution ended well. */
export type ExecutionResult<Outputs = JsonObject> = {
  readonly executionId: string;
  readonly status: ExecutionStatus;
  readonly outputs: Outputs;
  readonly durationMs: number;
  readonly traceId: string;
  readonly engine: EngineName | 'unspecified';
  readonly programId: string;
  readonly version: number;
};

/** One execution as it stands in the database. */
export type Execution<Inputs = JsonObject, Outputs = JsonObject> = {
  readonly id: string;
  readonly programId: string;
  /** The program's slug when it ran. */
  readonly program: string;
  readonly version: number;
  readonly status: ExecutionStatus;
  readonly inputs: Inputs;
  /** Undefined until it completed. */
  readonly outputs: Outputs | undefined;
  /** Why it failed or was cancelled. */
  readonly error: SignetError | undefined;
  readonly durationMs: number;
  readonly traceId: string;
  readonly engine: EngineName | 'unspecified';
  readonly detached: boolean;
  readonly retriedFrom: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What it took: tokens_in, tokens_out, lm_calls, queue_ms, engine_ms, attempts. */
  readonly metrics: JsonObject;
  readonly createTime: Date | undefined;
  readonly endTime: Date | undefined;
};

/** One thing that happened to an execution; `sequence` rises. */
export type ExecutionEvent<Outputs = JsonObject> = { readonly sequence: number; readonly executionId: string } & (
  | { readonly type: 'state'; readonly status: ExecutionStatus }
  | { readonly type: 'step'; readonly execution: string; readonly step: string; readonly status: string }
  /** Text of an output field, to be appended to what came before for it. */
  | { readonly type: 'token'; readonly predictor: string; readonly field: string; readonly text: string }
  | { readonly type: 'result'; readonly result: ExecutionResult<Outputs> }
  /** The last event of a watched execution that failed; a streamed run throws instead. */
  | { readonly type: 'error'; readonly error: SignetError }
);
