import { AppError } from '@signet/kit/error/app-error.ts';
import type { EngineEvent, EngineName } from '../engine/engine.ts';
import type { EndStatus, ExecutionFault, StepStatus } from './execution.ts';
import type { ExecutionRecord } from './execution-record.ts';

/** What an execution that has ended comes to, as those who wait for it need it. */
export type Ending = {
  readonly status: EndStatus;
  readonly outputsJson: string | undefined;
  readonly fault: ExecutionFault | undefined;
  readonly durationMs: number;
  /** Which engine ran it in the end; absent if it is the one that it began on. */
  readonly engine?: EngineName | undefined;
  readonly cacheHit?: boolean;
  readonly degraded?: boolean;
  /** What it took, as its row keeps it. */
  readonly metricsJson?: string;
};

/** Something that happened to an execution. */
export type LiveEvent =
  | { readonly kind: 'state'; readonly sequence: number; readonly status: 'pending' | 'running' | EndStatus }
  | {
      readonly kind: 'step';
      readonly sequence: number;
      readonly step: string;
      readonly status: string;
      /** The step's own execution; absent or empty if it has none. */
      readonly childId?: string;
    }
  | {
      readonly kind: 'token';
      readonly sequence: number;
      readonly predictor: string;
      readonly field: string;
      readonly text: string;
    }
  | { readonly kind: 'end'; readonly sequence: number; readonly ending: Ending };

/** Sequences 1 and 2 are the states PENDING and RUNNING of every execution; what else happens follows. */
export const firstSequence = 3;

// Each attempt numbers its events from a place of its own, above whatever an earlier owner showed.
const attemptStride = 1_000_000_000;

/** One execution that runs in this process. */
export class LiveExecution {
  readonly id: string;
  readonly record: ExecutionRecord;
  /** Steps are kept for those who watch later; told with the sequence. */
  private readonly keepStep: (sequence: number, step: string, status: StepStatus, childId?: string) => void;
  private sequence: number;
  private readonly listeners = new Set<(event: LiveEvent) => void>();
  private text: Map<string, { predictor: string; field: string; text: string; sequence: number }> | undefined;
  private controller: AbortController | undefined;
  private reason: AppError | undefined;
  private readonly abortListeners: ((reason: AppError) => void)[] = [];

  constructor(record: ExecutionRecord, attempt: number, keepStep: LiveExecution['keepStep']) {
    this.id = record.id;
    this.record = record;
    this.keepStep = keepStep;
    this.sequence = attempt <= 1 ? firstSequence - 1 : attempt * attemptStride;
  }

  /** Why the run was stopped; undefined while nobody did. */
  get abortReason(): AppError | undefined {
    return this.reason;
  }

  /** Aborted when the run is to stop; made when somebody first asks for it. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.reason !== undefined) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  /** True if somebody listens to what happens. */
  get isWatched(): boolean {
    return this.listeners.size > 0;
  }

  /** Stops the run; the first reason stays. */
  abort(reason: AppError): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.controller?.abort(reason);
    for (const listener of this.abortListeners.splice(0)) listener(reason);
  }

  /** Hears of the stop, also when it came before. */
  onAbort(listener: (reason: AppError) => void): void {
    if (this.reason !== undefined) listener(this.reason);
    else this.abortListeners.push(listener);
  }

  nextSequence(): number {
    return ++this.sequence;
  }

  /** Takes what the engine tells and hands it on. */
  tell(event: EngineEvent): void {
    const sequence = this.nextSequence();
    if (event.kind === 'step') {
      const { step, status, childId } = event;
      this.keepStep(sequence, step, status, childId);
      this.emit({ kind: 'step', sequence, step, status, ...(childId === undefined ? {} : { childId }) });
      return;
    }
    const { predictor, field, text } = event;
    this.text ??= new Map();
    const key = `${predictor} ${field}`;
    const before = this.text.get(key)?.text ?? '';
    this.text.set(key, { predictor, field, text: before + text, sequence });
    this.emit({ kind: 'token', sequence, predictor, field, text });
  }

  /** Tells everybody who listens. */
  emit(event: LiveEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  /** Listens to what happens from now on; gives the text so far, one event a field, and the way to stop. */
  listen(listener: (event: LiveEvent) => void): { textSoFar: LiveEvent[]; stop: () => void } {
    this.listeners.add(listener);
    const textSoFar = [...(this.text?.values() ?? [])].map((piece): LiveEvent => ({ kind: 'token', ...piece }));
    return { textSoFar, stop: () => this.listeners.delete(listener) };
  }
}

/** The executions that run in this process, and who waits for the end of which. */
export class LiveExecutions {
  private readonly running = new Map<string, LiveExecution>();
  private readonly waiters = new Map<string, Set<() => void>>();
  private isClosed = false;

  get size(): number {
    return this.running.size;
  }

  get(id: string): LiveExecution | undefined {
    return this.running.get(id);
  }

  /** Makes an execution known; true if somebody waits for news of it, who is woken. */
  add(live: LiveExecution): boolean {
    const before = this.running.get(live.id);
    this.running.set(live.id, live);
    if (before !== undefined) loseTo(before);
    const isAwaited = this.waiters.size > 0 && this.waiters.has(live.id);
    if (isAwaited) this.wake(live.id);
    return isAwaited;
  }

  /** To be called when the end is committed, or will never be by us. */
  remove(live: LiveExecution): void {
    if (this.running.get(live.id) === live) this.running.delete(live.id);
    if (this.waiters.size > 0) this.wake(live.id);
  }

  all(): IterableIterator<LiveExecution> {
    return this.running.values();
  }

  /** Ends all waiting for news: who waits asks another executor. */
  close(): void {
    this.isClosed = true;
    for (const id of [...this.waiters.keys()]) this.wake(id);
  }

  /** Throws SHUTTING_DOWN once waiting is over here, unless the execution runs here: its end will be told. */
  requireNews(id: string): void {
    if (this.isClosed && !this.running.has(id))
      throw new AppError('SHUTTING_DOWN', 'The executor is shutting down', { retryAfterMs: 1000 });
  }

  /** Wakes whoever waits for news of an execution. */
  wake(id: string): void {
    const waiting = this.waiters.get(id);
    if (waiting === undefined) return;
    this.waiters.delete(id);
    for (const resolve of waiting) resolve();
  }

  /** Resolves when there is news of an execution, or after `timeoutMs`, or when the signal is aborted; never rejects. */
  news(id: string, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.waiters.get(id) ?? new Set();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        waiting.delete(done);
        if (waiting.size === 0 && this.waiters.get(id) === waiting) this.waiters.delete(id);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal.addEventListener('abort', done);
      waiting.add(done);
      this.waiters.set(id, waiting);
      if (signal.aborted) done();
    });
  }
}

// Our lease had run out, and it was this process that claimed it anew.
function loseTo(before: LiveExecution): void {
  const lost = new AppError('WORKER_LOST', 'The execution was taken over');
  before.record.reject(lost);
  before.abort(lost);
}
