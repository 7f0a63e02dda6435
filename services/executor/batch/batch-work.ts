import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Batch } from './batch.ts';
import { type ChunkStore, type HeldChunk, keyOf } from './chunk-store.postgres.ts';
import { cancelRest, endItem, type ItemEnd, type OpenChunk, openChunk, progressOf } from './open-chunk.ts';
import type { BatchWish } from './share-store.postgres.ts';

/** One item that is to be run. */
export type WorkItem = {
  readonly executionId: string;
  readonly inputsJson: string;
  /** True if nobody can have begun it before. */
  readonly isNew: boolean;
};

/** What working on a batch needs. */
export type WorkDeps = {
  readonly chunks: ChunkStore;
  /** Runs an item; throws where it is left as it is: to others, or for another try. */
  runItem(batch: Batch, item: WorkItem, signal: AbortSignal): Promise<ItemEnd>;
  /** Told when nothing of the batch is held here any more, and when places can be given back. */
  over(): void;
  /** Places that all batches of this process share. */
  readonly places: { free: number };
};

/** Why nothing further of a batch is begun here. */
export type WorkStop = 'paused' | 'cancelled' | 'closed';

const againMs = 1_000;
// Well before others may think that the share has run out.
const grantMs = 3_000;

/** One batch as far as this process works on it: takes chunks, runs their items a bounded number at a time, and writes how far they are. */
export class BatchWork {
  readonly batch: Batch;
  private readonly deps: WorkDeps;
  private readonly held = new Map<string, OpenChunk>();
  private readonly waiters: (() => void)[] = [];
  private readonly timers = new Set<NodeJS.Timeout>();
  private running = 0;
  private grant = { limit: 0, sinceMs: 0 };
  private kept = 0;
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

  /** Whether there are more chunks to take. */
  refill(hasMore: boolean): void {
    if (this.stopped !== undefined) return;
    const wasDry = this.isDry;
    this.isDry = !hasMore;
    this.fill();
    if (!wasDry && this.isOver) this.deps.over();
  }

  /** What this process wants of the batch, and what it goes on with until that is answered. */
  wish(): BatchWish {
    const { batch, running } = this;
    let open = 0;
    for (const held of this.held.values()) open += held.open;
    const isFull = this.stopped !== undefined || this.deps.places.free <= 0;
    const wanted = isFull ? running : this.isDry ? open : batch.concurrency;
    this.grant.limit = Math.min(this.limit, wanted);
    this.kept = Math.max(running, this.grant.limit);
    return { batchId: batch.id, kept: this.kept, wanted };
  }

  /** So many items of the batch may run here from now on, as was asked at a time; what runs beyond it ends in its own time. */
  allow(limit: number, sinceMs: number): void {
    this.grant = { limit, sinceMs };
    this.fill();
    this.giveBack();
  }

  /** Begins as many items as there is room for. */
  private fill(): void {
    const { limit } = this;
    let waiting = 0;
    for (const held of this.held.values()) {
      while (
        this.stopped === undefined &&
        held.waiting.length > 0 &&
        this.running < limit &&
        this.deps.places.free > 0
      ) {
        void this.begin(held, held.waiting.shift()!);
      }
      waiting += held.waiting.length;
    }
    if (this.stopped === undefined && !this.isDry && waiting < limit && this.deps.places.free > 0) this.claim();
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

  private get limit(): number {
    return performance.now() - this.grant.sinceMs < grantMs ? this.grant.limit : 0;
  }

  private claim(): void {
    if (this.claiming !== undefined) return;
    const wanted = Math.ceil(this.limit / 64);
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
      const held = openChunk(chunk);
      this.held.set(keyOf(chunk), held);
      if (held.open === 0) await this.leave(held);
    }
  }

  private async begin(held: OpenChunk, place: number): Promise<void> {
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
      endItem(held, place, await this.deps.runItem(this.batch, item, held.stop.signal));
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
    this.giveBack();
  }

  // Others wait for what is kept beyond the share.
  private giveBack(): void {
    const { limit } = this.grant;
    if (this.kept <= limit || this.running > limit) return;
    this.kept = limit;
    this.deps.over();
  }

  private tryAgain(held: OpenChunk, place: number, error: unknown): void {
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
  private async leave(held: OpenChunk): Promise<void> {
    const key = keyOf(held.chunk);
    if (held.running > 0 || this.held.get(key) !== held) return;
    if (this.stopped === 'cancelled') cancelRest(held);
    const status = held.open === 0 ? 'done' : 'pending';
    // Should this not arrive, the lease runs out and another finds the items ended.
    await this.deps.chunks.settle([{ ...progressOf(held), status }]).catch(() => {});
    this.held.delete(key);
    if (this.isOver) this.deps.over();
  }
}
