import { randomInt } from 'node:crypto';
import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import type { StartRow, StepRow } from './execution.ts';
import { ExecutionRecord, type Gathered, type Urgency } from './execution-record.ts';
import type { RecorderStore } from './recorder.postgres.ts';
import { StepQueue } from './step-queue.ts';

const flightMax = 2;
/** Milliseconds that a write may be alone under way: what comes meanwhile gathers, and shares the next commit. */
const aloneMs = 5;
const batchMax = 500;
/** Milliseconds that a row nobody waits for may stand in line for others. */
const patienceMs = 10;
const batchBytesMax = 8 * 1024 * 1024;
const retryFirstMs = 50;
const retryMaxMs = 500;
// Each claim adds one, and the column holds 31 bits.
const ownedTokenMax = 2 ** 30;

/** What a recorder needs. */
export type RecorderDeps = { readonly store: RecorderStore; readonly clock: Clock; readonly log: Logger };

/**
 * Group commit: rows of many executions go to the database together, in one write at a time (two where the first takes more than
 * 5 ms), as soon as somebody waits for one of them. What nobody waits for goes along, or by itself after 10 ms: most first rows need no write of their own.
 */
export class Recorder {
  private readonly deps: RecorderDeps;
  private queue: ExecutionRecord[] = [];
  private readonly steps = new StepQueue();
  private readonly flying = new Set<readonly ExecutionRecord[]>();
  private flights = 0;
  private departedMs = 0;
  private second: NodeJS.Timeout | undefined;
  private planned = false;
  private hurried = false;
  private patience: NodeJS.Timeout | undefined;
  private failures = 0;
  private idle: (() => void)[] = [];

  constructor(deps: RecorderDeps) {
    this.deps = deps;
  }

  /** Queues the first row of an execution; it is written while the engine already runs, up to 10 ms later if it is `patient`. */
  begin(start: StartRow, patient = false): ExecutionRecord {
    const record = new ExecutionRecord(this, start, firstToken(start), 'queued', this.deps.clock.steadyMs());
    this.enqueue(record, patient ? 'patient' : 'soon');
    return record;
  }

  /** Takes over an execution whose row stands already under a lease of ours. */
  adopt(id: string, token: number): ExecutionRecord {
    return new ExecutionRecord(this, undefined, token, 'stored', this.deps.clock.steadyMs(), id);
  }

  /** Keeps a step for those who watch later: with what is written of its execution next, or by itself; that it is kept is not promised. */
  step(step: StepRow): void {
    this.steps.push(step);
    this.wait();
  }

  /** Resolves when nothing is left to write. */
  async drain(): Promise<void> {
    if (this.queue.length > 0 || this.steps.length > 0) this.hurry('soon');
    while (this.queue.length > 0 || this.steps.length > 0 || this.flights > 0)
      await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  /** Puts a record in line; for records only. */
  enqueue(record: ExecutionRecord, urgency: Urgency): void {
    this.queue.push(record);
    this.hurry(urgency);
  }

  /** Has what stands in line written as soon as there is a flight; for whoever waits. */
  hurry(urgency: Urgency): void {
    if (urgency === 'patient') {
      this.wait();
      return;
    }
    this.hurried = true;
    if (urgency === 'now' && this.failures === 0) this.pump(true);
    else this.plan();
  }

  private wait(): void {
    if (this.hurried || this.patience !== undefined) return;
    this.patience = setTimeout(() => {
      this.patience = undefined;
      if (this.queue.length > 0 || this.steps.length > 0) this.hurry('soon');
    }, patienceMs);
  }

  private plan(delayMs = 0): void {
    if (this.planned) return;
    this.planned = true;
    const pump = (): void => {
      this.planned = false;
      this.pump();
    };
    // Once per turn of the loop: what starts and ends in one turn goes out as one row.
    if (delayMs === 0) setImmediate(pump);
    else setTimeout(pump, delayMs);
  }

  private pump(isUrgent = false): void {
    if (!this.hurried) return;
    while (this.queue.length > 0 && this.mayFly(isUrgent)) {
      const batch = this.take();
      this.flights++;
      void this.send(batch).finally(() => this.landed());
    }
    if (this.queue.length === 0 && this.steps.length > 0 && this.mayFly()) this.sendSteps();
    if (this.queue.length === 0 && this.steps.length === 0) this.hurried = false;
  }

  private sendSteps(): void {
    const steps = this.steps.takeAlone(this.flying, batchMax);
    if (steps.length === 0) return;
    this.flights++;
    void this.steps.follow(steps, this.deps.store.writeSteps(steps)).then(() => this.landed());
  }

  private mayFly(isUrgent = false): boolean {
    if (this.flights >= flightMax) return false;
    const nowMs = this.deps.clock.steadyMs();
    if (!isUrgent && this.flights > 0 && this.queue.length < batchMax && nowMs - this.departedMs < aloneMs) {
      this.second ??= setTimeout(() => {
        this.second = undefined;
        this.pump();
      }, aloneMs);
      return false;
    }
    this.departedMs = nowMs;
    return true;
  }

  private landed(): void {
    this.flights--;
    if (this.queue.length > 0 || this.steps.length > 0) {
      if (this.hurried) this.plan(this.failures === 0 ? 0 : Math.min(retryFirstMs * 2 ** this.failures, retryMaxMs));
    } else if (this.flights === 0) {
      for (const resolve of this.idle.splice(0)) resolve();
    }
  }

  private take(): ExecutionRecord[] {
    let count = 0;
    let sizeBytes = 0;
    while (count < this.queue.length && count < batchMax && sizeBytes < batchBytesMax) {
      sizeBytes += this.queue[count++]!.sizeBytes;
    }
    return count === this.queue.length ? this.queue.splice(0) : this.queue.splice(0, count);
  }

  private async send(records: readonly ExecutionRecord[]): Promise<void> {
    const steps = this.steps.takeWith(records);
    const batch: Gathered = { rows: [], ends: [], calls: [], steps };
    for (const record of records) record.depart(batch);
    // Nobody else wants to know.
    const onSent = batch.calls.length === 0 ? undefined : () => leaveAll(records);
    let open = records;
    this.flying.add(records);
    try {
      const written = await this.deps.store.flush(batch, onSent);
      this.failures = 0;
      // What has arrived stays so, even if the look at the others fails.
      open = records.filter(({ id }) => !written.has(id));
      for (const record of records) if (written.has(record.id)) record.arrive(this.deps.clock.steadyMs());
      if (open.length > 0) await this.settleDoubt(open);
    } catch (error) {
      this.fail(open, steps, error);
    } finally {
      this.flying.delete(records);
    }
  }

  /** Nothing was written for these: either an earlier try was done although its answer was lost, or the lease is another's. */
  private async settleDoubt(records: readonly ExecutionRecord[]): Promise<void> {
    const states = await this.deps.store.inspect(records.map(({ id }) => id));
    for (const record of records) {
      const state = states.get(record.id);
      const end = record.departedEnd;
      const hasArrived =
        state !== undefined &&
        (end === undefined
          ? // A row of nobody's has only to be there: whoever claimed it since raised its token.
            record.token === 0 || state.leaseToken === record.token
          : state.endToken === record.token && state.status === end.status);
      // The row came with an earlier try whose answer was lost, and is ours still: the end goes out by itself.
      const isOpen = state !== undefined && state.endToken === undefined && state.leaseToken === record.token;
      if (hasArrived) {
        record.arrive(this.deps.clock.steadyMs());
      } else if (isOpen && record.isNew) {
        record.arriveWithoutEnd(this.deps.clock.steadyMs());
      } else {
        record.reject(new AppError('WORKER_LOST', 'The execution was taken over by another process'));
      }
    }
  }

  private fail(records: readonly ExecutionRecord[], steps: readonly StepRow[], error: unknown): void {
    const { store, clock, log } = this.deps;
    const lost = store.isConnectionLoss(error);
    if (lost || store.isConflict(error)) {
      this.failures++;
      this.hurried = true;
      this.steps.comeBack(steps);
      if (this.failures === 1) log.warn({ err: error }, 'could not write executions; trying again');
      const nowMs = clock.steadyMs();
      for (const record of records) {
        if (nowMs < record.giveUpMs) record.comeBack(this.queue);
        else
          record.reject(new AppError('DATABASE_UNAVAILABLE', 'The database does not answer', { retryAfterMs: 1000 }));
      }
    } else if (records.length === 1 && steps.length === 0 && records[0]!.bearsCalls) {
      log.warn({ err: error, execution_id: records[0]!.id }, 'could not keep a call of a language model');
      records[0]!.dropCalls();
      records[0]!.comeBack(this.queue);
      this.hurried = true;
    } else if (records.length === 1 && steps.length === 0) {
      log.error({ err: error, execution_id: records[0]!.id }, 'could not write an execution');
      records[0]!.reject(error);
    } else {
      // One bad row must not take the others with it: each goes alone, and at last without its steps.
      if (records.length > 1) this.steps.comeBack(steps);
      for (const record of records) {
        record.comeBack([]);
        void this.send([record]).finally(() => this.landed());
        this.flights++;
      }
    }
  }
}

/**
 * The token of a new row. Who begins an execution whose id was chosen before may not be the only one: a token by chance tells whose row
 * it became.
 */
function firstToken(start: StartRow): number {
  if (start.isOwned) return randomInt(1, ownedTokenMax);
  return start.detached ? 0 : 1;
}

function leaveAll(records: readonly ExecutionRecord[]): void {
  for (const record of records) record.leave();
}
