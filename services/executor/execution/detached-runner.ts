import { trace as traceApi } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import { isObject, type JsonObject } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { isRegistryAway } from '../catalog/catalog.ts';
import { type PlanDeps, planClaimed } from '../runtime/plan-call.ts';
import { deadlineExceeded } from '../runtime/run-engine.ts';
import { type RunDeps, startExecutionSpan } from '../runtime/run-execution.ts';
import { runPatiently } from '../runtime/run-patiently.ts';
import { type EndRow, workerLossMax } from './execution.ts';
import { faultOf } from './fault.ts';
import { cancelled } from './housekeeper.ts';
import { type Claim, type LeaseStore, lostFault } from './lease.postgres.ts';
import { LiveExecution, type LiveExecutions } from './live.ts';
import type { Recorder } from './recorder.ts';

const pollMs = 1_000;
const timeoutDefaultMs = 900_000;

/** What running detached executions needs. */
export type RunnerDeps = PlanDeps &
  RunDeps & { readonly leases: LeaseStore; readonly recorder: Recorder; readonly live: LiveExecutions };

/** Takes detached executions out of the database and runs them, a bounded number at a time. */
export class DetachedRunner {
  private readonly deps: RunnerDeps;
  private readonly inFlightMax: number;
  private readonly running = new Map<string, { token: number; done: Promise<void> }>();
  /** What runs here because somebody here needs it, beyond the bound. */
  private readonly held = new Map<string, { token: number; done: Promise<void> }>();
  private isClosed = false;
  private claiming: Promise<void> | undefined;
  private isWanted = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(deps: RunnerDeps, inFlightMax: number) {
    this.deps = deps;
    this.inFlightMax = inFlightMax;
  }

  /** Begins to take work, at once and whenever it is woken, and looks each second in case a wake-up was lost. */
  start(): void {
    this.timer = setInterval(() => this.wake(), pollMs);
    this.wake();
  }

  /** There may be work. */
  wake(): void {
    this.isWanted = true;
    if (this.isClosed || this.claiming !== undefined) return;
    this.claiming = this.claim().finally(() => {
      this.claiming = undefined;
      if (this.isWanted && !this.isClosed && this.running.size < this.inFlightMax) this.wake();
    });
  }

  /** Has an execution of ours, which runs, handed back with the others should this process stop before `done`. */
  hold(id: string, token: number, done: Promise<unknown>): void {
    const settled = done.then(
      () => {},
      () => {},
    );
    this.held.set(id, { token, done: settled });
    void settled.then(() => this.held.delete(id));
  }

  /**
   * Runs one execution here if it waits, also where the bound is reached: whoever needs its end may be what the others wait for. Resolves
   * when it is claimed, or was not there to be claimed.
   */
  async take(id: string): Promise<void> {
    if (this.isClosed) return;
    const claim = await this.deps.leases.claimOne(id);
    if (claim !== undefined) this.hold(claim.id, claim.token, this.run(claim));
  }

  /** Takes nothing more, gives what runs `graceMs` to end, and hands the rest back for others to run at once. */
  async close(graceMs: number): Promise<void> {
    this.isClosed = true;
    clearInterval(this.timer);
    await this.claiming;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([this.emptied(), late]);
    clearTimeout(timer);
    const left = [...this.running, ...this.held].map(([id, { token }]) => ({ id, token }));
    if (left.length === 0) return;
    await this.deps.leases.release(left).catch(() => {});
    // What they still come to is fenced off now: the lease went to whoever claims next.
    for (const { id } of left) {
      const live = this.deps.live.get(id);
      live?.record.reject(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
      live?.abort(new AppError('SHUTTING_DOWN', 'The executor is shutting down'));
    }
  }

  // What runs may begin more.
  private async emptied(): Promise<void> {
    while (this.running.size + this.held.size > 0)
      await Promise.all([...this.running.values(), ...this.held.values()].map(({ done }) => done));
  }

  private async claim(): Promise<void> {
    this.isWanted = false;
    const free = this.inFlightMax - this.running.size;
    if (free <= 0) return;
    let claims: Claim[];
    try {
      claims = await this.deps.leases.claim(free);
    } catch (error) {
      this.deps.log.debug({ reason: normalizeError(error).reason }, 'could not look for work');
      return;
    }
    if (claims.length === free) this.isWanted = true;
    for (const claim of claims) {
      const done = this.run(claim).finally(() => {
        this.running.delete(claim.id);
        if (this.isWanted) this.wake();
      });
      this.running.set(claim.id, { token: claim.token, done });
    }
  }

  private async run(claim: Claim): Promise<void> {
    const { deps } = this;
    const record = deps.recorder.adopt(claim.id, claim.token);
    const live = new LiveExecution(record, claim.attempts, (sequence, step, status, childId) =>
      deps.recorder.step({
        ...{ executionId: claim.id, sequence, step, status },
        ...(childId === undefined ? {} : { childId }),
      }),
    );
    const isAwaited = deps.live.add(live);
    try {
      // Whoever watches gets a turn to listen before the engine decides whether anybody does.
      if (isAwaited) await new Promise((resolve) => setImmediate(resolve));
      await this.runClaimed(claim, live);
    } catch (error) {
      const { reason } = normalizeError(error);
      deps.log.warn({ execution_id: claim.id, reason }, 'a detached execution was left to others');
    } finally {
      deps.live.remove(live);
    }
  }

  private async runClaimed(claim: Claim, live: LiveExecution): Promise<void> {
    const { deps } = this;
    const sinceMs = deps.clock.steadyMs();
    const parent = contextFromTraceparent(claim.traceparent);
    const verdict = verdictOf(claim);
    let plan: Awaited<ReturnType<typeof planClaimed>>;
    try {
      if (verdict !== undefined && !owesUndo(claim)) throw verdict;
      plan = await this.planWhenPossible(claim, live, parent);
    } catch (error) {
      if (owesUndo(claim) && !live.record.isLost) {
        const { reason } = normalizeError(error);
        deps.log.warn({ execution_id: claim.id, reason }, 'a run that had begun ends without being undone');
      }
      await live.record.finish(refusal(claim, live, verdict ?? live.abortReason ?? error));
      return;
    }
    if (verdict !== undefined) live.abort(verdict);
    const asked = traceApi.getSpanContext(parent);
    const { span, context } = startExecutionSpan(deps, plan, claim.id, parent, asked && [{ context: asked }]);
    await runPatiently(deps, {
      plan,
      live,
      span,
      trace: context,
      values: valuesOf(claim.inputsJson),
      inputsJson: claim.inputsJson,
      deadlineMs: deps.clock.now().getTime() + Math.max(plan.timeoutMs - claim.ageMs, 0),
      caller: undefined,
      // A stream is asked for only if somebody listens already: it costs more, and shown text cannot be taken back.
      onEvent: (event) => live.tell(event),
      wantsText: live.isWatched,
      sinceMs,
      attempts: claim.attempts,
      workerLosses: claim.workerLosses,
    });
  }

  /** The registry, or its database, may be away for a while; what was accepted waits for it, and what may be to be undone whatever became of it. */
  private async planWhenPossible(claim: Claim, live: LiveExecution, trace: ReturnType<typeof contextFromTraceparent>) {
    const { deps } = this;
    const leftMs = Math.max((claim.options.timeout_ms ?? timeoutDefaultMs) - claim.ageMs, 0);
    const latestMs = deps.clock.now().getTime() + (owesUndo(claim) ? Math.max(leftMs, timeoutDefaultMs) : leftMs);
    const signal = owesUndo(claim) ? new AbortController().signal : live.signal;
    for (;;) {
      try {
        return await planClaimed(deps, claim, { signal, deadlineMs: latestMs, trace });
      } catch (error) {
        const { reason } = normalizeError(error);
        if (!isRegistryAway(reason) || signal.aborted || live.record.isLost) throw error;
        if (deps.clock.now().getTime() >= latestMs) throw deadlineExceeded();
        await deps.live.news(claim.id, 500, signal);
      }
    }
  }
}

/** Why a claimed execution is not run any more but for what is to be undone; undefined for one that is. */
function verdictOf({ cancelRequested, workerLosses }: Claim): AppError | undefined {
  if (cancelRequested) return cancelled();
  return workerLosses >= workerLossMax ? new AppError('WORKER_LOST', lostFault.message) : undefined;
}

function owesUndo({ options, attempts }: Claim): boolean {
  return options.undoable === true && attempts > 1;
}

function refusal(claim: Claim, live: LiveExecution, error: unknown): EndRow {
  const fault = faultOf(error);
  return {
    status: fault.reason === 'CANCELLED' ? 'cancelled' : 'failed',
    outputsJson: null,
    errorJson: JSON.stringify(fault),
    durationMs: 0,
    metricsJson: `{"tokens_in":0,"tokens_out":0,"lm_calls":0,"queue_ms":0,"engine_ms":0,"attempts":${claim.attempts}}`,
    traceJson: '[]',
    attempts: claim.attempts,
    workerLosses: claim.workerLosses,
    lastSequence: live.nextSequence(),
  };
}

function valuesOf(inputsJson: string): JsonObject {
  const value = parseJson(inputsJson);
  return isObject(value) ? value : new Map();
}
