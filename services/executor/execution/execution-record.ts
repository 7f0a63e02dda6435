import { invariant } from '@signet/kit/error/app-error.ts';
import { type EndRow, leaseMs, type StartRow } from './execution.ts';
import type { LmCallRow } from './lm-calls.ts';
import type { Keeping } from './pending-answers.ts';
import type { Batch } from './recorder.postgres.ts';

/** How soon something is written: with company or after a while, at the end of this turn of the loop, or at once. */
export type Urgency = 'patient' | 'soon' | 'now';

/** Whoever writes records. */
export type RecordWriter = {
  /** Takes one in line that has something to write. */
  enqueue(record: ExecutionRecord, urgency: Urgency): void;
  /** Has what stands in line written. */
  hurry(urgency: Urgency): void;
};

/** What records put into a batch. */
export type Gathered = { readonly [Part in keyof Batch]: Batch[Part][number][] };

type Waiter = { resolve: () => void; reject: (error: unknown) => void };

/** The record of one execution: begun once, ended once. */
export class ExecutionRecord {
  readonly id: string;
  readonly token: number;
  /** The end that is on its way to the database. */
  departedEnd: EndRow | undefined;
  /** Until when a write that fails is tried again, on the steady clock. */
  giveUpMs: number;
  private readonly recorder: RecordWriter;
  private readonly start: StartRow | undefined;
  private state: 'queued' | 'flying' | 'stored' | 'ended' | 'lost';
  private end: EndRow | undefined;
  private calls: LmCallRow[] = [];
  private departedCalls: LmCallRow[] = [];
  private startStored: boolean;
  private failure: unknown;
  private storedWaiters: Waiter[] = [];
  private endWaiter: Waiter | undefined;
  private readonly callWaiters = new Map<LmCallRow, { resolve: () => void; leave: () => void }>();

  constructor(
    recorder: RecordWriter,
    start: StartRow | undefined,
    token: number,
    state: 'queued' | 'stored',
    nowMs: number,
    id?: string,
  ) {
    invariant(start !== undefined || id !== undefined, 'a record needs a row or an id');
    this.recorder = recorder;
    this.start = start;
    this.id = start?.id ?? id!;
    this.token = token;
    this.state = state;
    this.startStored = state === 'stored';
    // As long as the lease could hold.
    this.giveUpMs = nowMs + leaseMs;
  }

  /** True while the row stands, open, under our lease. */
  get isLeased(): boolean {
    return this.startStored && this.state !== 'ended' && this.state !== 'lost';
  }

  /** True once the row is another's, or could not be written. */
  get isLost(): boolean {
    return this.state === 'lost';
  }

  /** True once an end is given, committed or not. */
  get isEnding(): boolean {
    return this.end !== undefined;
  }

  /** True until the first row is known to stand. */
  get isNew(): boolean {
    return !this.startStored;
  }

  get sizeBytes(): number {
    const said = this.calls.reduce((sum, { reply }) => sum + 200 + (reply?.length ?? 0), 0);
    return 500 + (this.startStored ? 0 : this.start!.inputsJson.length) + (this.end?.outputsJson?.length ?? 0) + said;
  }

  /** True if calls of a language model are on their way to the database. */
  get bearsCalls(): boolean {
    return this.departedCalls.length > 0;
  }

  /** Resolves when the first row is committed. */
  stored(): Promise<void> {
    if (this.startStored) return Promise.resolve();
    if (this.state === 'lost') return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.storedWaiters.push({ resolve, reject });
      if (this.state === 'queued') this.recorder.hurry('soon');
    });
  }

  /**
   * Writes a call of a language model, with the first row if that is not written yet. What comes after the end is nobody's to use, and is not
   * written; what can no longer be written shows when the execution ends.
   */
  keep(call: LmCallRow): Keeping {
    if (this.end !== undefined || this.state === 'lost') return { sent: Promise.resolve(), kept: Promise.resolve() };
    const sent = Promise.withResolvers<void>();
    const kept = Promise.withResolvers<void>();
    this.calls.push(call);
    const settle = (): void => {
      sent.resolve();
      kept.resolve();
    };
    this.callWaiters.set(call, { resolve: settle, leave: sent.resolve });
    // A model will not be asked again before this is on its way.
    this.line('now');
    return { sent: sent.promise, kept: kept.promise };
  }

  /**
   * Writes the end; resolves when it is committed. WORKER_LOST if the lease went to another, DATABASE_UNAVAILABLE if nothing was written.
   * A `patient` one may wait for others.
   */
  finish(end: EndRow, urgency: 'patient' | 'soon' = 'soon'): Promise<void> {
    invariant(this.end === undefined, `execution ${this.id} ends twice`);
    if (this.state === 'lost') return Promise.reject(this.failure);
    this.end = end;
    return new Promise((resolve, reject) => {
      this.endWaiter = { resolve, reject };
      this.line(urgency);
    });
  }

  // Queued: it goes out with what waits. Flying: it follows when that has arrived.
  private line(urgency: Urgency): void {
    if (this.state === 'stored') {
      this.state = 'queued';
      this.recorder.enqueue(this, urgency);
    } else if (this.state === 'queued') {
      this.recorder.hurry(urgency);
    }
  }

  /** The lease was renewed: the row is ours until then. */
  renew(untilMs: number): void {
    this.giveUpMs = untilMs;
  }

  /** Puts what is to be written into a batch; for the recorder. */
  depart({ rows, ends, calls }: Gathered): void {
    this.state = 'flying';
    this.departedEnd = this.end;
    this.departedCalls = this.calls.splice(0);
    for (const call of this.departedCalls) calls.push({ call, token: this.token });
    if (!this.startStored) rows.push({ start: this.start!, token: this.token, end: this.end });
    else if (this.end !== undefined)
      ends.push({ id: this.id, token: this.token, end: this.end, isQuiet: this.start?.isQuiet ?? false });
  }

  /** What departed reaches the database whatever becomes of this process; for the recorder. */
  leave(): void {
    for (const call of this.departedCalls) this.callWaiters.get(call)?.leave();
  }

  /** What departed is committed; for the recorder. */
  arrive(nowMs: number): void {
    if (!this.startStored) this.giveUpMs = nowMs + leaseMs;
    this.startStored = true;
    for (const waiter of this.storedWaiters.splice(0)) waiter.resolve();
    for (const call of this.departedCalls.splice(0)) this.settle(call);
    if (this.departedEnd !== undefined) {
      this.state = 'ended';
      this.endWaiter?.resolve();
    } else if (this.end !== undefined || this.calls.length > 0) {
      this.state = 'queued';
      this.recorder.enqueue(this, 'soon');
    } else {
      this.state = 'stored';
    }
  }

  /** The first row stands but without the end that departed with it, which follows; for the recorder. */
  arriveWithoutEnd(nowMs: number): void {
    this.departedEnd = undefined;
    this.arrive(nowMs);
  }

  /** What departed may not have arrived: it stands in line again; for the recorder. */
  comeBack(queue: ExecutionRecord[]): void {
    this.state = 'queued';
    this.calls.unshift(...this.departedCalls.splice(0));
    queue.push(this);
  }

  /** The calls that departed cannot be written, whatever else can: better a hole in the record than a lost run; for the recorder. */
  dropCalls(): void {
    for (const call of this.departedCalls.splice(0)) this.settle(call);
  }

  /** What departed will never arrive; for the recorder, and for whoever learns that the lease is lost. */
  reject(error: unknown): void {
    if (this.state === 'ended') return;
    this.state = 'lost';
    this.failure = error;
    for (const waiter of this.storedWaiters.splice(0)) waiter.reject(error);
    for (const call of [...this.callWaiters.keys()]) this.settle(call);
    this.endWaiter?.reject(error);
  }

  private settle(call: LmCallRow): void {
    this.callWaiters.get(call)?.resolve();
    this.callWaiters.delete(call);
  }
}
