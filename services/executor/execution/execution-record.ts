import { invariant } from '@signet/kit/error/app-error.ts';
import { type EndRow, leaseMs, type StartRow } from './execution.ts';
import type { NewRow, RowEnd } from './recorder.postgres.ts';

/** Whoever writes records: it takes them in line when they have something to write, and writes at once when somebody waits for it. */
export type RecordWriter = { enqueue(record: ExecutionRecord): void; hurry(): void };

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
  private startStored: boolean;
  private failure: unknown;
  private storedWaiters: Waiter[] = [];
  private endWaiter: Waiter | undefined;

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
    return 500 + (this.startStored ? 0 : this.start!.inputsJson.length) + (this.end?.outputsJson?.length ?? 0);
  }

  /** Resolves when the first row is committed. */
  stored(): Promise<void> {
    if (this.startStored) return Promise.resolve();
    if (this.state === 'lost') return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.storedWaiters.push({ resolve, reject });
      if (this.state === 'queued') this.recorder.hurry();
    });
  }

  /** Writes the end; resolves when it is committed. WORKER_LOST if the lease went to another, DATABASE_UNAVAILABLE if nothing was written. */
  finish(end: EndRow): Promise<void> {
    invariant(this.end === undefined, `execution ${this.id} ends twice`);
    if (this.state === 'lost') return Promise.reject(this.failure);
    this.end = end;
    return new Promise((resolve, reject) => {
      this.endWaiter = { resolve, reject };
      // Queued: the end goes out with the start. Flying: it follows when the start has arrived.
      if (this.state === 'stored') {
        this.state = 'queued';
        this.recorder.enqueue(this);
      } else if (this.state === 'queued') {
        this.recorder.hurry();
      }
    });
  }

  /** The lease was renewed: the row is ours until then. */
  renew(untilMs: number): void {
    this.giveUpMs = untilMs;
  }

  /** Puts what is to be written into a batch; for the recorder. */
  depart(rows: NewRow[], ends: RowEnd[]): void {
    this.state = 'flying';
    this.departedEnd = this.end;
    if (!this.startStored) rows.push({ start: this.start!, token: this.token, end: this.end });
    else if (this.end !== undefined)
      ends.push({ id: this.id, token: this.token, end: this.end, isQuiet: this.start?.isQuiet ?? false });
  }

  /** What departed is committed; for the recorder. */
  arrive(nowMs: number): void {
    if (!this.startStored) this.giveUpMs = nowMs + leaseMs;
    this.startStored = true;
    for (const waiter of this.storedWaiters.splice(0)) waiter.resolve();
    if (this.departedEnd !== undefined) {
      this.state = 'ended';
      this.endWaiter?.resolve();
    } else if (this.end !== undefined) {
      this.state = 'queued';
      this.recorder.enqueue(this);
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
    queue.push(this);
  }

  /** What departed will never arrive; for the recorder, and for whoever learns that the lease is lost. */
  reject(error: unknown): void {
    if (this.state === 'ended') return;
    this.state = 'lost';
    this.failure = error;
    for (const waiter of this.storedWaiters.splice(0)) waiter.reject(error);
    this.endWaiter?.reject(error);
  }
}
