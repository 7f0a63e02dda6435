import type { Clock } from '@signet/kit/clock.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { Logger } from '@signet/kit/log/logger.ts';
import { heartbeatMs, leaseMs } from './execution.ts';
import type { IdempotencyStore } from './idempotency.postgres.ts';
import type { LeaseStore } from './lease.postgres.ts';
import type { LiveExecutions } from './live.ts';
import { forgetOld, type Retention } from './retention.ts';

/** What keeping house needs. */
export type HousekeeperDeps = {
  readonly leases: LeaseStore;
  readonly idempotency: IdempotencyStore;
  /** Keeps answers; what has expired is to be forgotten. */
  readonly cache: { sweep(): Promise<void> };
  /** What is forgotten in time. */
  readonly retentions: readonly Retention[];
  readonly live: LiveExecutions;
  readonly clock: Clock;
  readonly log: Logger;
};

const reapMs = 1_000;
const sweepMs = 600_000;

/** Renews our leases, hears that somebody wants an execution to end, and settles what others left behind. */
export class Housekeeper {
  private readonly deps: HousekeeperDeps;
  private timer: NodeJS.Timeout | undefined;
  private turn: Promise<void> | undefined;
  private sweep: Promise<void> | undefined;
  private readonly closing = new AbortController();
  private lastRenewalMs = Number.NEGATIVE_INFINITY;
  private lastSweepMs = Number.NEGATIVE_INFINITY;
  private isHealthy = true;

  constructor(deps: HousekeeperDeps) {
    this.deps = deps;
  }

  /** Begins; looks each second. */
  start(): void {
    this.timer = setInterval(() => void this.tick(), reapMs);
  }

  /** Stops; resolves when nothing of it is under way. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    this.closing.abort();
    await this.turn;
    await this.sweep;
  }

  /** One turn, or the one that is under way. */
  tick(): Promise<void> {
    this.turn ??= this.work().finally(() => {
      this.turn = undefined;
    });
    return this.turn;
  }

  private async work(): Promise<void> {
    const { clock, leases, idempotency, log } = this.deps;
    try {
      const nowMs = clock.steadyMs();
      // After the database was away our own leases come first: what lives on here is not to be reaped.
      if (!this.isHealthy || nowMs - this.lastRenewalMs >= heartbeatMs) await this.renew();
      const { failed, again } = await leases.reap();
      if (failed + again > 0) log.warn({ failed, again }, 'settled executions whose process was lost');
      if (nowMs - this.lastSweepMs > sweepMs) {
        this.lastSweepMs = nowMs;
        await idempotency.sweep();
        await this.deps.cache.sweep();
        this.sweep ??= this.forgetOld();
      }
      this.isHealthy = true;
    } catch (error) {
      if (this.isHealthy) log.warn({ reason: normalizeError(error).reason, err: error }, 'could not keep house');
      this.isHealthy = false;
    }
  }

  // Beside the turns: leases must be renewed while thousands of rows go.
  private async forgetOld(): Promise<void> {
    try {
      const forgotten = await forgetOld(this.deps.retentions, this.closing.signal);
      if (Object.keys(forgotten).length > 0) this.deps.log.info({ forgotten }, 'forgot what is not kept any longer');
    } catch (error) {
      this.deps.log.warn(
        { reason: normalizeError(error).reason, err: error },
        'could not forget what is not kept any longer',
      );
    } finally {
      this.sweep = undefined;
    }
  }

  private async renew(): Promise<void> {
    const { live, leases, clock } = this.deps;
    const sentMs = clock.steadyMs();
    const held = [...live.all()].filter(({ record }) => record.isLeased);
    if (held.length > 0) {
      const ours = await leases.renew(held.map(({ record }) => ({ id: record.id, token: record.token })));
      for (const execution of held) {
        const state = ours.get(execution.id);
        if (state !== undefined) {
          execution.record.renew(sentMs + leaseMs);
          if (state.cancelRequested) execution.abort(cancelled());
        } else if (execution.record.isLeased && live.get(execution.id) === execution && !execution.record.isEnding) {
          const lost = new AppError('WORKER_LOST', 'The execution was taken over by another process');
          execution.record.reject(lost);
          execution.abort(lost);
        }
      }
    }
    this.lastRenewalMs = sentMs;
  }
}

/** The reason of an execution that somebody ended. */
export function cancelled(): AppError {
  return new AppError('CANCELLED', 'The execution was cancelled');
}
