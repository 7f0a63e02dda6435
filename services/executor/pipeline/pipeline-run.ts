import { setImmediate } from 'node:timers/promises';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { evaluate, evaluateCondition } from '@signet/pipeline/evaluate.ts';
import type { GroupStep, Pipeline, Scope, Step } from '@signet/pipeline/pipeline.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { RunContext } from '../engine/engine.ts';
import type { StepStatus } from '../execution/execution.ts';
import type { ChildRow } from '../execution/store.postgres.ts';
import { deadlineExceeded } from '../runtime/run-engine.ts';
import { mayTryAgain, pause } from './again.ts';
import { ChildRuns } from './child-runs.ts';
import type { PipelineCall, PipelineDeps } from './pipelines.ts';
import { runGroup } from './run-group.ts';
import { evaluated, failureOf, stopped } from './step-failure.ts';
import { undoSteps } from './undo.ts';

/** One run of a pipeline that is asked for. */
export type PipelineInput = PipelineCall & {
  readonly pipeline: Pipeline;
  readonly inputs: JsonObject;
  readonly isMock: boolean;
  /** What an earlier run of the execution has begun. */
  readonly known: readonly ChildRow[];
};

/** What surrounds one step. */
export type StepSurroundings = {
  /** Aborted when the step is to stop. */
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly deadlineMs: number;
  /** Tells tries of an outer group apart; empty for the first one. */
  readonly salt: string;
  /** Why another step failed; for compensations and undo steps. */
  readonly error?: JsonObject;
};

/** How long a run whose steps wait for nothing may keep others waiting. */
const heldMaxMs = 10;

/** One run of a pipeline: starts each step as soon as what it needs has ended, and knows what came of each. */
export class PipelineRun {
  readonly input: PipelineInput;
  readonly children: ChildRuns;
  isDegraded = false;
  private readonly deps: PipelineDeps;
  private readonly ctx: RunContext;
  /** Of the outermost steps, as bindings see them. */
  readonly results = new Map<string, JsonValue>();
  /** Steps that ended well here, in the order of their ends. */
  readonly ended: Step[] = [];
  private readonly stop = new AbortController();
  private heldSinceMs = performance.now();

  constructor(deps: PipelineDeps, input: PipelineInput, ctx: RunContext) {
    this.deps = deps;
    this.input = input;
    this.ctx = ctx;
    this.children = new ChildRuns(deps, input, ctx, (error) => this.stop.abort(error));
  }

  /** How many steps were executions of their own. */
  get stepCount(): number {
    return this.children.count;
  }

  /**
   * Runs it to its end; every step that was begun is kept when this resolves. When it fails, what ended well is undone first, and the
   * failure is the first step's.
   */
  async run(): Promise<JsonValue> {
    const forward = (): void => this.stop.abort(this.ctx.signal.reason);
    this.ctx.signal.addEventListener('abort', forward);
    if (this.ctx.signal.aborted) forward();
    try {
      const value = await this.steps();
      await this.children.kept();
      return value;
    } catch (failure) {
      await this.children.settled();
      const reason = this.ctx.signal.aborted ? this.ctx.signal.reason : failure;
      await undoSteps(this.deps, { run: this, failure: reason }, this.ctx);
      throw reason;
    } finally {
      this.ctx.signal.removeEventListener('abort', forward);
    }
  }

  /** What bindings of a step see. */
  scope(error?: JsonObject): Scope {
    return { input: this.input.inputs, steps: this.results, ...(error === undefined ? {} : { error }) };
  }

  /** Runs one step to its result: null if it was left out or its failure counts for nothing. `isWell` is false then. */
  async runStep(
    step: Step,
    within: StepSurroundings,
  ): Promise<{ readonly value: JsonValue; readonly isWell: boolean }> {
    try {
      if (performance.now() - this.heldSinceMs >= heldMaxMs) await this.letOthersRun();
      if (within.signal.aborted) throw within.signal.reason;
      if (!this.isWanted(step, within)) {
        this.tell(step, 'skipped');
        return { value: null, isWell: false };
      }
      const value = await this.try(step, within);
      this.ended.push(step);
      return { value, isWell: true };
    } catch (failure) {
      if (within.signal.aborted) throw within.signal.reason;
      if (step.onError === 'skip') return { value: null, isWell: false };
      if (step.compensate === undefined) throw failure;
      return { value: await this.compensate(step.compensate, failure, within), isWell: true };
    }
  }

  // Also the timers that end this run when its time is over.
  private async letOthersRun(): Promise<void> {
    await setImmediate();
    this.heldSinceMs = performance.now();
  }

  private isWanted({ when, ...step }: Step, { error }: StepSurroundings): boolean {
    return when === undefined || evaluated(step, () => evaluateCondition(when, this.scope(error)));
  }

  /** Runs a step by itself, without its condition or what stands in for it. */
  async try(step: Step, within: StepSurroundings): Promise<JsonValue> {
    const deadlineMs = Math.min(within.deadlineMs, Date.now() + (step.timeoutMs ?? Number.POSITIVE_INFINITY));
    for (let turn = 0; ; turn++) {
      try {
        return await this.once(step, turn, { ...within, deadlineMs });
      } catch (failure) {
        const isOver = turn >= step.retries || within.signal.aborted || Date.now() >= deadlineMs;
        if (isOver || !mayTryAgain(failure)) throw failure;
        await pause(turn, within.signal);
      }
    }
  }

  /** Tells whoever watches the run how a step stands. */
  tell(step: Step, status: StepStatus, childId?: string): void {
    this.ctx.onEvent?.({ kind: 'step', step: step.id, status, ...(childId === undefined ? {} : { childId }) });
  }

  private async steps(): Promise<JsonValue> {
    const { pipeline } = this.input;
    const within = { signal: this.stop.signal, deadlineMs: this.ctx.deadlineMs, salt: '' };
    const endings = new Map<string, Promise<void>>();
    const all: Promise<void>[] = [];
    for (const step of pipeline.steps) {
      const needed = step.needs.map((id) => endings.get(id)!);
      const ending = this.after(needed, step, within);
      endings.set(step.id, ending);
      all.push(ending);
    }
    const settled = await Promise.allSettled(all);
    const failed = settled.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw this.firstFailure ?? failed.reason;
    return evaluated(undefined, () => evaluate(pipeline.return, this.scope()));
  }

  private firstFailure: unknown;

  private async after(needed: readonly Promise<void>[], step: Step, within: StepSurroundings): Promise<void> {
    if (needed.length > 0) await Promise.all(needed);
    if (within.signal.aborted) throw within.signal.reason;
    try {
      const { value } = await this.runStep(step, within);
      this.results.set(step.id, value);
    } catch (failure) {
      if (this.firstFailure === undefined) {
        this.firstFailure = failure;
        // What ends because the run's time is over is told so.
        const isLate = Date.now() >= this.ctx.deadlineMs;
        this.stop.abort(isLate ? deadlineExceeded() : stopped(`The step \`${step.id}\` failed`));
      }
      throw failure;
    }
  }

  private once(step: Step, turn: number, within: StepSurroundings): Promise<JsonValue> {
    return step.kind === 'group' ? this.group(step, turn, within) : this.child(step, turn, within);
  }

  private async group(step: GroupStep, turn: number, within: StepSurroundings): Promise<JsonValue> {
    this.tell(step, 'started');
    try {
      const salt = turn === 0 ? within.salt : `${within.salt}/${step.id}#${turn}`;
      const value = await runGroup(this, step, { ...within, salt });
      this.tell(step, 'completed');
      return value;
    } catch (failure) {
      this.tell(step, 'failed');
      throw failure;
    }
  }

  private async child(step: Exclude<Step, GroupStep>, turn: number, within: StepSurroundings): Promise<JsonValue> {
    const input = evaluated(step, () => evaluate(step.input, this.scope(within.error)));
    return this.children.run({ step, input, turn, tell: (status, id) => this.tell(step, status, id) }, within);
  }

  private async compensate(step: Step, failure: unknown, within: StepSurroundings): Promise<JsonValue> {
    try {
      const value = await this.try(step, { ...within, error: failureOf(failure) });
      this.isDegraded = true;
      return value;
    } catch (again) {
      if (within.signal.aborted) throw within.signal.reason;
      const { reason } = normalizeError(again);
      // What went wrong first is what somebody has to know.
      const first = normalizeError(failure);
      throw first.with({ compensation: reason });
    }
  }
}
