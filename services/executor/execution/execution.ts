import type { EngineName, RoutingStrategy } from '../engine/engine.ts';
import type { LmCallRow } from './lm-calls.ts';

/** Where an execution stands. */
export type ExecutionStatus = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** The states that nothing leaves. */
export type EndStatus = Extract<ExecutionStatus, 'completed' | 'failed' | 'cancelled'>;

/** True for a state that nothing leaves. */
export function isEnd(status: ExecutionStatus): status is EndStatus {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** Why an execution failed, as it is kept. */
export type ExecutionFault = {
  readonly reason: string;
  readonly message: string;
  readonly category: string;
  readonly retryable: boolean;
  readonly python_type: string;
  readonly field_violations: readonly { field: string; reason: string; description: string }[];
  /** For admins only. */
  readonly traceback: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retry_after_ms?: number;
};

/** How one execution is to be run, beyond what its program says; absent means not said. */
export type RunOptions = {
  readonly timeout_ms?: number;
  readonly max_retries?: number;
  readonly cache?: boolean;
  readonly cache_scope?: 'program' | 'key';
  readonly engine?: EngineName;
  readonly routing_strategy?: RoutingStrategy;
  /** The engine that runs it once more after the answer, for comparison. */
  readonly shadow?: EngineName;
  readonly version?: number;
  /** Names the version in place of its number. */
  readonly version_label?: string;
  /** By what calls are told apart where they are split between versions. */
  readonly sticky_key?: string;
  readonly lm?: string;
  /** Of a step that calls a Python class: the keywords with which it is made. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Of a step without a program: true if its argument is no object and stands under `input`. */
  readonly wrapped?: boolean;
  /** Of a run of a pipeline: true if some of its steps can be undone. Never asked for. */
  readonly undoable?: boolean;
  /** Of a step: true if it undoes others, so that no cancel of its run reaches it. Never asked for. */
  readonly undoes?: boolean;
};

/** Stands where an execution of a program has that program's id: a step that is a function or a Python name belongs to none. */
export const noProgram = '00000000-0000-0000-0000-000000000000';

/** One execution as it stands in the database. JSON stays text, so that every digit survives. */
export type Execution = {
  readonly id: string;
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  /** The registered module that ran; empty if none did. */
  readonly moduleId: string;
  readonly moduleName: string;
  readonly parentId: string;
  readonly step: string;
  readonly status: ExecutionStatus;
  readonly engine: EngineName;
  readonly detached: boolean;
  readonly inputsJson: string;
  readonly outputsJson: string | undefined;
  readonly error: ExecutionFault | undefined;
  readonly durationMs: number | undefined;
  readonly options: RunOptions;
  readonly labels: Readonly<Record<string, string>>;
  readonly metadataJson: string;
  readonly metricsJson: string;
  readonly traceJson: string;
  readonly traceId: string;
  readonly retriedFrom: string;
  readonly lastSequence: number;
  readonly leaseToken: number;
  readonly cancelRequested: boolean;
  readonly attempts: number;
  readonly workerLosses: number;
  readonly executedAt: Date;
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** The first row of an execution. Its id says when it was asked for, so that the order of ids is the order of time. */
export type StartRow = {
  readonly id: string;
  readonly programId: string;
  readonly slug: string;
  readonly version: number;
  readonly module: string;
  readonly engine: EngineName;
  readonly detached: boolean;
  readonly inputsJson: string;
  /** What was said about how to run it; null means nothing. */
  readonly optionsJson: string | null;
  readonly labelsJson: string | null;
  readonly metadataJson: string;
  readonly traceId: string;
  readonly traceparent: string;
  readonly keyId: string;
  readonly retriedFrom: string | null;
  /** The registered module that runs; null if none does. */
  readonly moduleId: string | null;
  readonly moduleName: string | null;
  /** The execution of which this one is a step, and the step's name; absent for a run of its own. */
  readonly parentId?: string;
  readonly step?: string;
  /** Of a detached execution: true if the process that begins it runs it at once, under a lease of its own. */
  readonly isOwned?: boolean;
  /** True if no other process is told of its end. */
  readonly isQuiet?: boolean;
  /** Milliseconds since 1970; absent means what its id says. */
  readonly askedMs?: number;
};

/** True for an execution that waits in the database for whoever claims it. */
export function isLeftToOthers({ detached, isOwned = false }: StartRow): boolean {
  return detached && !isOwned;
}

/** The end of an execution. */
export type EndRow = {
  readonly status: EndStatus;
  readonly outputsJson: string | null;
  readonly errorJson: string | null;
  readonly durationMs: number;
  readonly metricsJson: string;
  readonly traceJson: string;
  readonly attempts: number;
  readonly workerLosses: number;
  readonly lastSequence: number;
  /** Which engine ran it in the end; absent if it is the one of its start. */
  readonly engine?: EngineName;
  /** Calls of language models that are written with it. */
  readonly lmCalls?: readonly LmCallRow[];
};

/** A step of an execution that is kept for those who watch later. */
export type StepRow = {
  readonly executionId: string;
  readonly sequence: number;
  readonly step: string;
  readonly status: StepStatus;
  /** The step's own execution; absent if it has none. */
  readonly childId?: string;
};

/** What a step came to. */
export type StepStatus = 'started' | 'completed' | 'failed' | 'skipped';

/** How long a lease holds; its owner renews it each `heartbeatMs`. */
export const leaseMs = 10_000;

/** How often an owner renews its leases. */
export const heartbeatMs = 3_000;

/** How often an execution may lose the process that runs it before it fails with WORKER_LOST. */
export const workerLossMax = 3;

/** How often a run of which something is to be undone may lose the process that runs it, and then those that undo it, in all. */
export const undoLossMax = 2 * workerLossMax;

/** The counters of a program. */
export type Counters = { readonly executionCount: bigint; readonly lastExecutedAt: Date | undefined };

/** All executions of a program in figures. */
export type Statistics = {
  readonly total: bigint;
  readonly successful: bigint;
  readonly failed: bigint;
  readonly averageDurationMs: number;
};
