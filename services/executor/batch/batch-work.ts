import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Batch, Outcome } from './batch.ts';
import { type ChunkFaults, type ChunkStore, type HeldChunk, keyOf } from './chunk-store.postgres.ts';

/** One item that is to be run. */
export type WorkItem = {
  readonly executionId: string;
  readonly inputsJson: string;
  /** True if nobody can have begun it before. */
  readonly isNew: boolean;
};

/** How an item ended, or why it could not even begin. */
export type ItemEnd = { readonly outcome: Outcome } | { readonly fault: { reason: string; message: string } };

/** What working on a batch needs. */
export type WorkDeps = {
  readonly chunks: ChunkStore;
  /** Runs an item; throws where it is left as it is: to others, or for another try. */
  runItem(batch: Batch, item: WorkItem, signal: AbortSignal): Promise<ItemEnd>;
  /** Told when nothing of the batch is held here any more. */
  over(): void;
  /** Places that all batches of this process share. */
  readonly places: { free: number };
};

type Held = {
  readonly chunk: HeldChunk;
  readonly outcomes: Outcome[];
  readonly faults: Record<number, ChunkFaults[number]>;
  /** Places of items that wait, in order. */
  readonly waiting: number[];
  readonly stop: AbortController;
  /** Places of items that may have been begun here before. */
  readonly tried: Set<number>;
  open: number;
  running: number;
  isDirty: boolean;
};

/** Why nothing further of a batch is begun here. */
export type WorkStop = 'paused' | 'cancelled' | 'closed';

const againMs = 1_000;

/** One batch as far as this process works on it: takes chunks, runs their items a bounded number at a time, and writes how far they are. */
export class BatchWork {
  readonly batch: Batch;
  private readonly deps: WorkDeps;
  private readonly held = new Map<string, Held>();
  private readonly waiters: (() => void)[] = [];
  private readonly timers = new Set<NodeJS.Timeout>();
  private running = 0;
  private claiming: Promise<void> | undefined;
  private isDry = false;
  private stopped: WorkStop | undefined;

  constructor(deps: WorkDeps, batch: Batch) {
    this.deps = deps;
    this.batch = batch;
  }

  /** True once nothing of the batch is held here and nothing more is to be taken. */
  get isOver(): boolean {
    return this.held.size === 0 && this.claiming === undefined && (this.isDry || this.stopped !== undefined);
  }

  /** Items that run here. */
  get size(): number {
    return this.running;
  }

  /** There may be more chunks again. */
  refill(): void {
    this.isDry = false;
    this.fill();
  }

  /** Begins as many items as there is room for. */
  fill(): void {
    const { concurrency } = this.batch;
    let waiting = 0;
    for (const held of this.held.values()) {
      while (
        this.stopped === undefined &&
        held.waiting.length > 0 &&
        this.running < concurrency &&
        this.deps.places.free > 0
      ) {
        void this.begin(held, held.waiting.shift()!);
      }
      waiting += held.waiting.length;
    }
    if (this.stopped === undefined && !this.isDry && waiting < concurrency && this.deps.places.free > 0) this.claim();
  }

  /** Begins nothing further; what is cancelled is aborted. What was never begun goes back, or is cancelled with the rest. */
  async stop(why: WorkStop): Promise<void> {
    if (this.stopped !== undefined) return;
    this.stopped = why;
    for (const timer of this.timers) clearTimeout(timer);
    await this.claiming;
    for (const held of [...this.held.values()]) {
      held.waiting.length = 0;
      if (why === 'cancelled') held.stop.abort(new AppError('CANCELLED', 'The batch was cancelled'));
      await this.leave(held);
    }
  }

  /** Resolves when nothing of the batch runs here. */
  async settled(): Promise<void> {
    while (this.running > 0) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  /** The leases that are to be renewed. */
  leases(): HeldChunk[] {
    return [...this.held.values()].map(({ chunk }) => chunk);
  }

  /** Forgets chunks that others took over; who runs their items now waits for those of ours. */
  lose(stillOurs: ReadonlySet<string>): void {
    for (const [key, held] of this.held) {
      if (stillOurs.has(key)) continue;
      held.waiting.length = 0;
      this.held.delete(key);
    }
  }

  /** Writes how far chunks are that have moved since. */
  async flush(): Promise<void> {
    const dirty = [...this.held.values()].filter(({ isDirty }) => isDirty);
    for (const held of dirty) held.isDirty = false;
    await this.deps.chunks.settle(dirty.map((held) => ({ ...progressOf(held), status: 'running' })));
  }

  private claim(): void {
    if (this.claiming !== undefined) return;
    const wanted = Math.max(1, Math.ceil(this.batch.concurrency / 64));
    this.claiming = this.take(wanted)
      .catch(() => {
        // The database is away: whoever looks for open batches comes back here.
        this.isDry = true;
      })
      .finally(() => {
        this.claiming = undefined;
        this.fill();
        if (this.isOver) this.deps.over();
      });
  }

  private async take(count: number): Promise<void> {
    const chunks = await this.deps.chunks.claim(this.batch.id, count);
    if (chunks.length < count) this.isDry = true;
    for (const chunk of chunks) {
      const waiting = chunk.outcomes.flatMap((outcome, place) => (outcome === '.' ? [place] : []));
      const held = {
        ...{ chunk, waiting, open: waiting.length, running: 0, isDirty: false },
        outcomes: [...chunk.outcomes],
        faults: {},
        stop: new AbortController(),
        tried: new Set<number>(),
      };
      this.held.set(keyOf(chunk), held);
      if (held.open === 0) await this.leave(held);
    }
  }

  private async begin(held: Held, place: number): Promise<void> {
    const { chunk } = held;
    held.running++;
    this.running++;
    this.deps.places.free--;
    try {
      const item = {
        executionId: chunk.executionIds[place]!,
        inputsJson: chunk.inputs[place]!,
        isNew: chunk.token === 1 && !held.tried.has(place),
      };
      this.end(held, place, await this.deps.runItem(this.batch, item, held.stop.signal));
    } catch (error) {
      if (this.stopped === undefined && this.held.get(keyOf(chunk)) === held) this.tryAgain(held, place, error);
    } finally {
      held.running--;
      this.running--;
      this.deps.places.free++;
    }
    if (held.open === 0 || (this.stopped !== undefined && held.running === 0)) await this.leave(held);
    if (this.running === 0) for (const wake of this.waiters.splice(0)) wake();
    this.fill();
  }

  private end(held: Held, place: number, end: ItemEnd): void {
    held.outcomes[place] = 'fault' in end ? 'f' : end.outcome;
    if ('fault' in end) held.faults[place] = end.fault;
    held.open--;
    held.isDirty = true;
  }

  private tryAgain(held: Held, place: number, error: unknown): void {
    const { retryAfterMs = againMs } = normalizeError(error);
    // From now on one looks first.
    held.tried.add(place);
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      held.waiting.push(place);
      this.fill();
    }, retryAfterMs);
    this.timers.add(timer);
  }

  // Done, handed back, or cancelled to the last item; once.
  private async leave(held: Held): Promise<void> {
    const key = keyOf(held.chunk);
    if (held.running > 0 || this.held.get(key) !== held) return;
    if (this.stopped === 'cancelled') {
      held.outcomes.forEach((outcome, place) => {
        if (outcome === '.') held.outcomes[place] = 'x';
      });
      held.open = 0;
    }
    const status = held.open === 0 ? 'done' : 'pending';
    // Should this not arrive, the lease runs out and another finds the items ended.
    await this.deps.chunks.settle([{ ...progressOf(held), status }]).catch(() => {});
    this.held.delete(key);
    if (this.isOver) this.deps.over();
  }
}

function progressOf({ chunk, outcomes, faults }: Held) {
  const { batchId, firstIndex, token } = chunk;
  return { batchId, firstIndex, token, outcomes, faults };
}
