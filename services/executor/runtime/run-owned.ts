import { normalizeError } from '@signet/kit/error/normalize.ts';
import { isRegistryAway, type LookupContext } from '../catalog/catalog.ts';
import type { DetachedRunner } from '../execution/detached-runner.ts';
import type { LeaseStore } from '../execution/lease.postgres.ts';
import { type Ending, LiveExecution, type LiveExecutions } from '../execution/live.ts';
import type { PendingAnswers } from '../execution/pending-answers.ts';
import type { Recorder } from '../execution/recorder.ts';
import type { ExecutionStore } from '../execution/store.postgres.ts';
import { type CheckedInputs, checkInputs, type ExecuteInput } from './call-input.ts';
import { recordInvalid, startRow } from './first-row.ts';
import { findExecution, followExecution } from './follow-execution.ts';
import { type CallPlan, type PlanDeps, planCall } from './plan-call.ts';
import { deadlineExceeded } from './run-engine.ts';
import { type BegunExecution, type RunDeps, startExecutionSpan } from './run-execution.ts';
import { runPatiently } from './run-patiently.ts';

/** What running owned executions needs. */
export type OwnedDeps = PlanDeps &
  RunDeps & {
    readonly recorder: Recorder;
    readonly live: LiveExecutions;
    readonly leases: LeaseStore;
    readonly store: ExecutionStore;
    readonly runner: Pick<DetachedRunner, 'hold' | 'take'>;
  };

/** Where an owned execution stands among others. */
export type OwnedPlace = {
  /** Chosen by its owner, so that after a loss the same comes out; see `childId`. */
  readonly id: string;
  /** What it is a step of. */
  readonly parentId?: string;
  readonly step?: string;
  /** Milliseconds since 1970; absent means as long as its options or its default say. */
  readonly deadlineMs?: number;
  /** True if no other process is told of its end. */
  readonly isQuiet?: boolean;
  /** True for one of many that nobody waits for on the line; one that another process takes over is like any other. */
  readonly isBulk?: boolean;
  /** True if nobody can have begun it before: then nobody looks. */
  readonly isNew?: boolean;
  /** Hears its steps and text as they come; those of a run in another process are not heard. */
  readonly onEvent?: BegunExecution['onEvent'];
  /** True if its text is to be told as it comes; absent means if somebody hears it by `onEvent`. */
  readonly wantsText?: boolean;
  /** Shared with others whose answers must be safe before this one asks a model, and with whoever waits for all of it. */
  readonly pending?: PendingAnswers;
  /** Told how the engine ended before that is committed: work may go on with it, but nobody outside may be told. */
  readonly onSettled?: (ending: Ending) => void;
};

/** One owned execution that is asked for; `options.version` pins the version. */
export type OwnedRun = OwnedPlace & { readonly input: Omit<ExecuteInput, 'requestId'> };

/** How an owned execution ended, committed. */
export type OwnedEnding = Ending & { readonly executionId: string };

/** The surroundings of an owned execution. Aborted with CANCELLED or DEADLINE_EXCEEDED it ends so; with another reason it is left. */
export type OwnedContext = LookupContext;

const registryWaitMs = 500;
const timeoutDefaultMs = 900_000;

/**
 * Runs an execution here and now that outlives this process: its row stands under a lease of ours from the start, what its model answers
 * is kept, and should we be lost any executor goes on with it. One that exists under this id already is waited for, never run twice.
 * Gives how it ended, failures too, once that is committed; inputs that do not fit end FAILED with INPUT_INVALID. Throws what planCall
 * throws, and the reason of an abort that left it to others.
 */
export async function runOwned(deps: OwnedDeps, run: OwnedRun, ctx: OwnedContext): Promise<OwnedEnding> {
  if (await isBegun(deps, run, ctx)) return followExecution(deps, run.id, ctx);
  const { input, ...rest } = run;
  const place = { ...rest, isNew: true };
  const askedMs = deps.clock.steadyMs();
  const options = withTimeout(run, deps.clock.now().getTime());
  const plan = await planPatiently(deps, { ...input, options }, ctx);
  const checked = checkInputs(plan.program, input.inputs);
  return runPlanned(deps, { place, plan, checked, askedMs }, ctx);
}

/** What is planned and checked, and may begin. */
export type PlannedRun = {
  readonly place: OwnedPlace;
  readonly plan: CallPlan;
  readonly checked: CheckedInputs;
  /** On the steady clock. */
  readonly askedMs: number;
};

/** Runs what `runOwned` would run, planned by somebody else; what stands under its id already is waited for. */
export async function runPlanned(deps: OwnedDeps, run: PlannedRun, ctx: OwnedContext): Promise<OwnedEnding> {
  const { checked, place } = run;
  if (await isBegun(deps, place, ctx)) return followExecution(deps, place.id, ctx);
  if (!checked.ok) return endInvalid(deps, run, checked, ctx);
  const begun = beginOwned(deps, run, checked, ctx);
  const { live } = begun;
  // Whoever goes on with the steps of a pipeline has to find what they are steps of.
  const running =
    run.plan.program.pipeline === undefined
      ? runPatiently(deps, begun)
      : live.record.stored().then(() => runPatiently(deps, begun));
  const done = running.finally(() => deps.live.remove(live));
  deps.runner.hold(live.id, live.record.token, done);
  try {
    return { ...(await done), executionId: live.id };
  } catch (error) {
    // Another process has it, or it could not be written in time: what stands in the database counts.
    if (ctx.signal.aborted && !isEndedBy(ctx.signal)) throw ctx.signal.reason ?? error;
    if (normalizeError(error).reason === 'SHUTTING_DOWN') throw error;
    return followExecution(deps, place.id, ctx);
  }
}

async function isBegun(deps: OwnedDeps, { id, isNew }: OwnedPlace, { signal }: OwnedContext): Promise<boolean> {
  if (isNew === true) return false;
  return deps.live.get(id) !== undefined || (await findExecution(deps, id, signal)) !== undefined;
}

/** Records an owned run and makes it known, ready to run. */
export function beginOwned(
  deps: Pick<OwnedDeps, 'clock' | 'telemetry' | 'recorder' | 'live'>,
  { place, plan, askedMs }: PlannedRun,
  checked: Extract<CheckedInputs, { ok: true }>,
  ctx: OwnedContext,
): BegunExecution {
  const { id, onEvent, onSettled } = place;
  const { span, context } = startExecutionSpan(deps, plan, id, ctx.trace);
  if (place.step !== undefined && span.isRecording()) span.setAttribute('signet.step', place.step);
  const nowMs = deps.clock.now().getTime();
  const row = { ...rowOf(place), inputsJson: checked.json, askedMs: nowMs };
  const record = deps.recorder.begin(startRow(plan, row, context, ctx), true);
  const live = new LiveExecution(record, 1, (sequence, step, status, childId) => {
    // Who stays quiet is not watched later either.
    if (place.isQuiet) return;
    deps.recorder.step({ executionId: id, sequence, step, status, ...(childId === undefined ? {} : { childId }) });
  });
  deps.live.add(live);
  return {
    plan,
    live,
    span,
    trace: context,
    values: checked.values,
    inputsJson: checked.json,
    deadlineMs: Math.min(nowMs + plan.timeoutMs, place.deadlineMs ?? Number.POSITIVE_INFINITY),
    caller: ctx,
    isDurable: true,
    isBulk: place.isBulk,
    onSettled,
    pending: place.pending,
    onEvent: (event) => {
      live.tell(event);
      onEvent?.(event);
    },
    wantsText: place.wantsText ?? onEvent !== undefined,
    sinceMs: askedMs,
    attempts: 1,
    workerLosses: 0,
  };
}

function rowOf({ id, parentId, step, isQuiet }: OwnedPlace) {
  return {
    id,
    isDetached: true,
    isOwned: true,
    ...(parentId === undefined ? {} : { parentId }),
    ...(step === undefined ? {} : { step }),
    ...(isQuiet === undefined ? {} : { isQuiet }),
  };
}

// Should another process go on with it, that one has the same time.
function withTimeout({ input, deadlineMs }: OwnedRun, nowMs: number): ExecuteInput['options'] {
  if (deadlineMs === undefined) return input.options;
  const leftMs = Math.max(Math.ceil(deadlineMs - nowMs), 1);
  return { ...input.options, timeout_ms: Math.min(input.options.timeout_ms ?? timeoutDefaultMs, leftMs) };
}

async function planPatiently(
  deps: OwnedDeps,
  input: Omit<ExecuteInput, 'requestId'>,
  ctx: OwnedContext,
): Promise<CallPlan> {
  const latestMs = deps.clock.now().getTime() + (input.options.timeout_ms ?? timeoutDefaultMs);
  return waitForRegistry(deps, { latestMs, signal: ctx.signal }, () => planCall(deps, input, ctx, true));
}

/** Asks again while the registry, or its database, is away. Fails with DEADLINE_EXCEEDED after `latestMs`, since 1970. */
export async function waitForRegistry<T>(
  { clock, live }: Pick<OwnedDeps, 'clock' | 'live'>,
  { latestMs, signal }: { readonly latestMs: number; readonly signal: AbortSignal },
  ask: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isRegistryAway(normalizeError(error).reason) || signal.aborted) throw error;
      if (clock.now().getTime() >= latestMs) throw deadlineExceeded();
      await live.news('registry', registryWaitMs, signal);
    }
  }
}

async function endInvalid(
  deps: OwnedDeps,
  { place, plan, askedMs }: PlannedRun,
  checked: Extract<CheckedInputs, { ok: false }>,
  ctx: OwnedContext,
): Promise<OwnedEnding> {
  const { id, ...row } = { ...rowOf(place), askedMs: deps.clock.now().getTime() };
  const ending = await recordInvalid(deps, { plan, askedMs, id }, checked, ctx, row);
  place.onSettled?.(ending);
  return { ...ending, executionId: place.id };
}

function isEndedBy(signal: AbortSignal): boolean {
  const { reason } = normalizeError(signal.reason);
  return reason === 'CANCELLED' || reason === 'DEADLINE_EXCEEDED';
}
