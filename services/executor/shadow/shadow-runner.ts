import type { Context, Meter, Tracer } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { endSpan, startSpan } from '@signet/kit/telemetry/span.ts';
import type { JsonObject } from '@signet/signature/json.ts';
import { type Engine, EngineDeclined, type EngineProgram, type EngineRun, type LmEndpoint } from '../engine/engine.ts';
import type { LmCallStore } from '../execution/lm-call.postgres.ts';
import { ExecutionLmCalls, type LmFigures } from '../execution/lm-calls.ts';
import { CallTape } from './call-tape.ts';
import { compareRuns } from './compare.ts';
import type { ComparedEngine, ComparedRun, RunFigures, ShadowRow, ShadowStatus } from './shadow.ts';
import { storableText } from './storable-text.ts';
import type { ShadowStore } from './store.postgres.ts';

const runningMax = 8;
const writingMax = 64;
const leastMs = 60_000;
const mostMs = 900_000;
const closeMs = 3_000;
const messageMax = 1_000;

/** What comparing engines needs. */
export type ShadowDeps = {
  readonly store: ShadowStore;
  readonly lmCallStore: LmCallStore;
  readonly tracer: Tracer;
  readonly meter: Meter;
  readonly log: Logger;
};

/** An execution that has ended and is to be run once more. */
export type ShadowTask = {
  readonly executionId: string;
  readonly programId: string;
  readonly slug: string;
  readonly program: EngineProgram;
  readonly engine: Engine;
  readonly lm: LmEndpoint | undefined;
  readonly maxRetries: number;
  readonly values: JsonObject;
  readonly inputsJson: string;
  readonly trace: Context;
  readonly primaryEngine: ComparedEngine;
  readonly primary: ComparedRun;
  readonly figures: RunFigures;
  /** Reads outputs that an engine gave; throws if they do not fit the signature. */
  readonly readOutputs: (outputsJson: string) => JsonObject;
};

/** Failures by which an engine judges the reply; all others say that it did not come to a judgement. */
const judgements: ReadonlySet<string> = new Set(['', 'LM_REPLY_UNREADABLE', 'MODULE_FAILED']);

/**
 * Runs what has ended once more on the other engine and keeps what differs. At most 8 at once; what comes beyond is skipped, and its row
 * says so. A run has a minute, or three times as long as the answer took. Nothing of it reaches the execution or its caller.
 */
export class ShadowRunner {
  readonly #deps: ShadowDeps;
  readonly #counter;
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #writing = 0;

  constructor(deps: ShadowDeps) {
    this.#deps = deps;
    this.#counter = deps.meter.createCounter('signet.shadow.count', {
      description: 'Comparisons of engines by result',
    });
  }

  /** Begins a comparison once the present turn of the event loop is over; never throws. */
  begin(task: ShadowTask): void {
    const why = this.#whyNot(task);
    if (why !== undefined) {
      this.#skip(task, why);
      return;
    }
    const running = new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#compare(task));
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Ends what runs and waits a little for its rows. */
  async close(): Promise<void> {
    this.#stop.abort(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeMs);
    });
    await Promise.race([Promise.all(this.#running), late]);
    clearTimeout(timer);
  }

  #whyNot({ primary, primaryEngine, engine }: ShadowTask): string | undefined {
    if (!judgements.has(primary.failure)) return `There is nothing to compare with: it failed with ${primary.failure}`;
    if (primaryEngine === engine.name) return `The ${engine.name} engine gave the answer itself`;
    if (this.#stop.signal.aborted) return 'The executor is shutting down';
    if (this.#running.size >= runningMax) return `${runningMax} shadows ran already`;
    return undefined;
  }

  #skip(task: ShadowTask, message: string): void {
    this.#counter.add(1, { status: 'skipped' });
    if (this.#writing >= writingMax) return;
    void this.#write({ ...rowOf(task, 'skipped'), reason: 'SKIPPED', message });
  }

  async #compare(task: ShadowTask): Promise<void> {
    const tape = new CallTape();
    const calls = new ExecutionLmCalls(this.#deps, { executionId: task.executionId, run: 0 });
    const startMs = performance.now();
    let run: EngineRun | undefined;
    let outputs: JsonObject | undefined;
    let failure: unknown;
    try {
      run = await this.#run(task, tape, calls);
      outputs = task.readOutputs(run.outputsJson);
    } catch (error) {
      failure = error;
    }
    const figures = { primary: task.figures, shadow: figuresOf(performance.now() - startMs, run, calls.figures) };
    const reason = reasonOf(failure);
    if (!judgements.has(reason)) {
      await this.#write({ ...rowOf(task, 'failed'), figures, reason, message: messageOf(failure) });
      return;
    }
    const differences = compareRuns(task.primary, { calls: tape.calls, outputs, failure: reason });
    const status = Object.keys(differences).length === 0 ? 'equal' : 'different';
    await this.#write({ ...rowOf(task, status), figures, differences });
  }

  async #run(task: ShadowTask, tape: CallTape, calls: ExecutionLmCalls): Promise<EngineRun> {
    const { engine, program, values, inputsJson, lm, maxRetries, executionId, figures } = task;
    const forMs = Math.min(Math.max(3 * figures.duration_ms, leastMs), mostMs);
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new AppError('DEADLINE_EXCEEDED', 'The deadline of the shadow passed before it ended')),
      forMs,
    );
    const signal = AbortSignal.any([this.#stop.signal, late.signal]);
    const { span, context } = startSpan(this.#deps.tracer, `shadow ${task.slug}`, task.trace);
    try {
      const ended = await orAborted(
        engine.run(program, values, inputsJson, {
          ...{ executionId, signal, lm, maxRetries, trace: context, wantsText: false },
          deadlineMs: Date.now() + forMs,
          lmCalls: tape.over(calls),
        }),
        signal,
      );
      endSpan(span);
      return ended;
    } catch (error) {
      endSpan(span, error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #write(row: ShadowRow): Promise<void> {
    if (row.status !== 'skipped') this.#counter.add(1, { status: row.status });
    this.#writing += 1;
    try {
      await this.#deps.store.put(row);
    } catch (error) {
      const { reason } = normalizeError(error);
      this.#deps.log.warn({ execution_id: row.executionId, reason }, 'a comparison of engines was lost');
    } finally {
      this.#writing -= 1;
    }
  }
}

/** An engine that does not come back is left behind, as everywhere. */
function orAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    running.then(resolve, reject);
    const leave = (): void => void setTimeout(reject, 2_500, signal.reason).unref();
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
  });
}

function rowOf({ executionId, programId, slug, program, engine, primaryEngine }: ShadowTask, status: ShadowStatus) {
  const { version } = program;
  const shown = { executionId, programId, slug, version, engine: engine.name as ComparedEngine, primaryEngine, status };
  return { ...shown, differences: {}, figures: {}, reason: '', message: '' };
}

function reasonOf(failure: unknown): string {
  if (failure === undefined) return '';
  return failure instanceof EngineDeclined ? 'MODULE_INVALID' : normalizeError(failure).reason;
}

function messageOf(failure: unknown): string {
  const text = failure instanceof EngineDeclined ? failure.message : normalizeError(failure).message;
  return storableText(text.slice(0, messageMax));
}

/** What a run took, as its calls of models say, or its engine where nobody keeps those. */
export function figuresOf(durationMs: number, run: EngineRun | undefined, lm: LmFigures): RunFigures {
  return {
    duration_ms: round(durationMs),
    tokens_in: lm.calls > 0 ? lm.tokensIn : (run?.tokensIn ?? 0),
    tokens_out: lm.calls > 0 ? lm.tokensOut : (run?.tokensOut ?? 0),
    lm_calls: Math.max(run?.lmCalls ?? 0, lm.calls),
    lm_ms: round(lm.lmMs),
    ...(lm.cost === undefined ? {} : { cost: Number(lm.cost.toFixed(9)) }),
  };
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
