import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { GroupStep, Step } from '@signet/pipeline/pipeline.ts';
import { isObject, type JsonValue } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import type { EngineEvent, RunContext } from '../engine/engine.ts';
import { childId } from '../execution/child-id.ts';
import { isEnd, type StepStatus } from '../execution/execution.ts';
import { errorOf } from '../execution/fault.ts';
import type { Ending } from '../execution/live.ts';
import { PendingAnswers } from '../execution/pending-answers.ts';
import { type OwnedPlace, runPlanned } from '../runtime/run-owned.ts';
import { metricsOf } from './figures.ts';
import type { PipelineInput, StepSurroundings } from './pipeline-run.ts';
import type { PipelineDeps } from './pipelines.ts';
import { planChild } from './plan-child.ts';
import { writesResult } from './result-steps.ts';
import { notBegun, untilStopped } from './step-failure.ts';

/** A step that is an execution of its own, ready to run. */
export type ChildInput = {
  readonly step: Exclude<Step, GroupStep>;
  readonly input: JsonValue;
  /** How often it was tried before. */
  readonly turn: number;
  readonly tell: (status: StepStatus, childId: string) => void;
};

// Tries of a step whose kept try had other inputs, because what it was made of was lost before it was kept.
const otherInputs = 1_000;

/** The executions that steps of one run are. Their results may be used at once; that they are kept is waited for at the end. */
export class ChildRuns {
  count = 0;
  private readonly deps: PipelineDeps;
  private readonly input: PipelineInput;
  private readonly ctx: RunContext;
  private readonly giveUp: (error: unknown) => void;
  private readonly known: ReadonlyMap<string, PipelineInput['known'][number]>;
  private readonly underWay = new Set<Promise<void>>();
  // Whoever goes on after a loss asks no model again but for what was under way: what a question was made of is safe before it is asked.
  private readonly pending = new PendingAnswers();
  private failure: { readonly error: unknown } | undefined;

  constructor(deps: PipelineDeps, input: PipelineInput, ctx: RunContext, giveUp: (error: unknown) => void) {
    this.deps = deps;
    this.input = input;
    this.ctx = ctx;
    this.giveUp = giveUp;
    this.known = new Map(input.known.map((row) => [row.id, row]));
  }

  /** Resolves when every end is committed. Throws if one went to another process or came out otherwise than was used. */
  async kept(): Promise<void> {
    await this.settled();
    if (this.failure !== undefined) throw this.failure.error;
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.underWay.size > 0) {
      this.deps.recorder.hurry('now');
      await Promise.all(this.underWay);
    }
    await this.pending.settled();
  }

  /** Runs a step, or finds what came of it, and gives its result before that is committed. Throws why it failed. */
  async run(child: ChildInput, within: StepSurroundings): Promise<JsonValue> {
    const { step } = child;
    const askedMs = this.deps.clock.steadyMs();
    const outer = { signal: within.signal, deadlineMs: within.deadlineMs, trace: this.ctx.trace };
    const owned = { ...outer, ...(this.input.principal === undefined ? {} : { principal: this.input.principal }) };
    const leftMs = Math.max(Math.ceil(within.deadlineMs - this.deps.clock.now().getTime()), 1);
    const asked = { ...child, call: this.input, leftMs };
    const { plan, checked, isWrapped } = await planChild(this.deps, asked, owned).catch((error: unknown) => {
      throw notBegun(this.input.pipeline, step, error);
    });
    const id = this.idOf(child, within.salt, checked.json);
    const known = this.known.get(id);
    const isOver = known !== undefined && isEnd(known.status);
    if (!isOver) child.tell('started', id);
    this.count += 1;
    const place: OwnedPlace = {
      ...{ id, parentId: this.ctx.executionId, step: step.id, deadlineMs: within.deadlineMs, isQuiet: true },
      isNew: known === undefined,
      isBulk: this.ctx.isBulk === true,
      pending: this.pending,
      ...(this.hearsText(child) ? { onEvent: (event) => this.hear(step, event) } : {}),
    };
    const ending = await this.early((onSettled) =>
      runPlanned(this.deps, { place: { ...place, onSettled }, plan, checked, askedMs }, owned),
    );
    if (ending.fault?.metadata.stopped === 'true' && !within.signal.aborted) await untilStopped(within.signal);
    if (!isOver) child.tell(ending.fault === undefined ? 'completed' : 'failed', id);
    if (ending.fault !== undefined) throw stepError(ending.fault, step.id, id);
    return resultOf(ending, isWrapped);
  }

  /** Gives how a run ended as soon as its engine has; the rest is waited for by `kept`. */
  private early(begin: (onSettled: (ending: Ending) => void) => Promise<Ending>): Promise<Ending> {
    return new Promise((resolve, reject) => {
      let used: Ending | undefined;
      const take = (ending: Ending): void => {
        if (used !== undefined) return;
        used = ending;
        resolve(ending);
      };
      const done = begin(take).then(
        (ending) => {
          this.ctx.lmCalls?.include?.(metricsOf(ending.metricsJson));
          take(ending);
          if (used !== ending && (used?.status !== ending.status || used.outputsJson !== ending.outputsJson)) {
            this.fail(new AppError('WORKER_LOST', 'A step was taken over by another process'));
          }
        },
        (error: unknown) => {
          if (used !== undefined || !isRefusal(error)) this.fail(error);
          reject(error);
        },
      );
      this.underWay.add(done);
      void done.finally(() => this.underWay.delete(done));
    });
  }

  private fail(error: unknown): void {
    this.failure ??= { error };
    this.giveUp(error);
  }

  /** A kept try counts only if it was given the same. */
  private idOf({ step, turn }: ChildInput, salt: string, inputsJson: string): string {
    const key = `${step.id}${salt}`;
    for (let other = 0; ; other++) {
      const id = childId(this.ctx.executionId, key, turn + other * otherInputs);
      const known = this.known.get(id);
      if (known === undefined || known.inputsJson === inputsJson) return id;
    }
  }

  private hearsText({ step, turn }: ChildInput): boolean {
    return this.ctx.wantsText && turn === 0 && writesResult(this.input.pipeline, step.id);
  }

  private hear(step: Step, event: EngineEvent): void {
    if (event.kind !== 'token') return;
    this.ctx.onEvent?.({ ...event, predictor: `${step.id}.${event.predictor}` });
  }
}

function isRefusal(error: unknown): boolean {
  const { reason } = normalizeError(error);
  return reason !== 'SHUTTING_DOWN' && reason !== 'WORKER_LOST' && reason !== 'DATABASE_UNAVAILABLE';
}

function stepError(fault: NonNullable<Ending['fault']>, step: string, id: string): AppError {
  return errorOf(fault, id).with({ step });
}

function resultOf({ outputsJson }: Ending, isWrapped: boolean): JsonValue {
  const outputs = parseJson(outputsJson ?? '{}');
  return isWrapped && isObject(outputs) ? (outputs.get('result') ?? null) : outputs;
}
