import { ROOT_CONTEXT } from '@opentelemetry/api';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import type { Batch, BatchStatus } from './batch.ts';
import { BatchWork, type WorkDeps } from './batch-work.ts';
import type { LoadContext } from './load-dataset.ts';
import type { DatasetLoading, LoadStore } from './load-store.postgres.ts';
import type { BatchWish, ShareStore } from './share-store.postgres.ts';
import type { BatchStore } from './store.postgres.ts';

/** What running batches needs. */
export type BatchRunnerDeps = Omit<WorkDeps, 'places' | 'over'> & {
  readonly batches: BatchStore;
  readonly loads: LoadStore;
  readonly shares: ShareStore;
  /** Fills a batch with the examples of its dataset. */
  load(loading: DatasetLoading, ctx: LoadContext): Promise<void>;
  /** Asks for the end of an execution, whoever runs it. */
  cancelExecution(id: string): Promise<void>;
  readonly log: Logger;
};

const lookEveryMs = 1_000;
const renewEveryMs = 3_000;
const itemsMax = 256;
// What is handed back at the end of the grace is told to us a moment later.
const handBackMs = 1_000;
const failures = new Set(['PROGRAM_NOT_FOUND', 'VERSION_NOT_FOUND', 'DATASET_NOT_FOUND', 'INVALID_REQUEST']);

/** Works on batches: any number of executors share one, chunk by chunk, and go on with what a lost one left. */
export class BatchRunner {
  private readonly deps: BatchRunnerDeps;
  private readonly places: WorkDeps['places'];
  private readonly works = new Map<string, BatchWork>();
  /** Batches that are not worked on here any more, while others may think so. */
  private readonly left = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | undefined;
  private isWanted = false;
  private loading: Promise<void> | undefined;
  private readonly stopping = new AbortController();
  private renewedMs = 0;

  /** `itemsAtOnce` bounds the items of all batches that run here. */
  constructor(deps: BatchRunnerDeps, itemsAtOnce: number = itemsMax) {
    this.deps = deps;
    this.places = { free: itemsAtOnce };
  }

  /** Begins to look for work, each second and whenever it is woken. */
  start(): void {
    this.timer = setInterval(() => this.wake(), lookEveryMs);
    this.wake();
  }

  /** There may be work, or a batch may stand elsewhere than it did. */
  wake(): void {
    this.isWanted = true;
    if (this.stopping.signal.aborted || this.looking !== undefined) return;
    this.looking = this.look().finally(() => {
      this.looking = undefined;
      if (this.isWanted) this.wake();
    });
  }

  /** Begins nothing further and hands back what waits; items that run end, or are handed back by who runs executions, within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.timer);
    this.stopping.abort();
    await this.looking;
    const works = [...this.works.values()];
    await Promise.all(works.map((work) => work.stop('closed')));
    await this.share().catch(() => {});
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs + handBackMs);
    });
    await Promise.race([Promise.all(works.map((work) => work.settled())), late]);
    clearTimeout(timer);
    for (const id of this.works.keys()) this.left.add(id);
    this.works.clear();
    await this.share().catch(() => {});
    await this.loading;
  }

  private async look(): Promise<void> {
    this.isWanted = false;
    try {
      await this.heedStates();
      await this.takeOpen();
      await this.share();
      await this.renew();
      this.loadNext();
    } catch (error) {
      this.deps.log.debug({ reason: normalizeError(error).reason }, 'could not look for batches');
    }
  }

  private async heedStates(): Promise<void> {
    if (this.works.size === 0) return;
    const statuses = await this.deps.batches.statuses([...this.works.keys()]);
    for (const [id, work] of this.works) {
      const why = stopFor(statuses.get(id));
      if (why !== undefined) void work.stop(why);
      else await work.flush();
      if (!work.isOver || work.size > 0) continue;
      this.works.delete(id);
      this.left.add(id);
      if (why === undefined) await this.deps.batches.complete(id);
    }
  }

  private async takeOpen(): Promise<void> {
    const { batches } = this.deps;
    for (const { id, isClaimable, isDone } of await batches.open()) {
      const work = this.works.get(id);
      if (isDone && work === undefined) await batches.complete(id);
      else if (work !== undefined) work.refill(isClaimable);
      else if (isClaimable) this.take(this.workOn(await batches.get(id)));
    }
  }

  // Before anything of a batch is begun, and again and again while it is worked on.
  private async share(): Promise<void> {
    const none = { wanted: 0, kept: 0 };
    const left = [...this.left].filter((id) => !this.works.has(id));
    const wishes: BatchWish[] = left.map((batchId) => ({ batchId, ...none }));
    for (const work of this.works.values()) wishes.push(work.wish());
    if (wishes.length === 0) return;
    const sinceMs = performance.now();
    const limits = await this.deps.shares.share(wishes);
    for (const id of left) this.left.delete(id);
    for (const [id, work] of this.works) {
      const limit = limits.get(id);
      if (limit !== undefined) work.allow(limit, sinceMs);
    }
  }

  private workOn(batch: Batch): BatchWork {
    return new BatchWork({ ...this.deps, places: this.places, over: () => this.wake() }, batch);
  }

  private take(work: BatchWork): void {
    if (this.stopping.signal.aborted || work.batch.status !== 'running') return;
    this.works.set(work.batch.id, work);
  }

  private async renew(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.renewedMs < renewEveryMs) return;
    this.renewedMs = nowMs;
    const held = [...this.works.values()].flatMap((work) => work.leases());
    if (held.length > 0) {
      const ours = await this.deps.chunks.renew(held);
      const asked = new Set(held);
      // Those that were taken meanwhile were not asked about.
      for (const work of this.works.values()) {
        const others = work.leases().filter((lease) => !asked.has(lease));
        work.lose(new Set([...ours, ...others.map((lease) => `${lease.batchId}/${lease.firstIndex}`)]));
      }
    }
    await this.deps.loads.sweep();
    for (const id of await this.deps.chunks.settleCancelled()) await this.deps.cancelExecution(id).catch(() => {});
  }

  private loadNext(): void {
    if (this.stopping.signal.aborted) return;
    this.loading ??= this.loadOne().finally(() => {
      this.loading = undefined;
    });
  }

  private async loadOne(): Promise<void> {
    const { deps } = this;
    const loading = await deps.loads.claim().catch(() => undefined);
    if (loading === undefined) return;
    try {
      await deps.load(loading, { signal: this.stopping.signal, deadlineMs: undefined, trace: ROOT_CONTEXT });
    } catch (thrown) {
      const error = normalizeError(thrown);
      deps.log.warn({ batch_id: loading.id, reason: error.reason, err: error.cause }, 'could not load a batch');
      // What may pass is tried again when the lease has run out.
      if (failures.has(error.reason))
        await deps.loads.fail(loading, error.message, { faults: [], count: 0 }).catch(() => {});
    }
    this.wake();
  }
}

function stopFor(status: BatchStatus | undefined): 'paused' | 'cancelled' | undefined {
  if (status === 'running') return undefined;
  return status === 'paused' ? 'paused' : 'cancelled';
}
