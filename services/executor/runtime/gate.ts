import { AppError } from '@signet/kit/error/app-error.ts';

/** Bounds how many attached calls run at once, and lets none in while the service closes. */
export class Gate {
  private readonly inFlightMax: number;
  private inFlight = 0;
  private closed = false;
  private empty: (() => void) | undefined;

  constructor(inFlightMax: number) {
    this.inFlightMax = inFlightMax;
  }

  /** How many are in. */
  get size(): number {
    return this.inFlight;
  }

  /** Lets one in; QUEUE_FULL when all places are taken, SHUTTING_DOWN when closed. Whoever is let in must `leave`. */
  enter(): void {
    if (this.closed) throw new AppError('SHUTTING_DOWN', 'The executor is shutting down', { retryAfterMs: 1000 });
    if (this.inFlight >= this.inFlightMax) {
      throw new AppError('QUEUE_FULL', `${this.inFlightMax} executions are running already`, {
        retryAfterMs: 1000,
        metadata: { limit: String(this.inFlightMax) },
      });
    }
    this.inFlight++;
  }

  leave(): void {
    this.inFlight--;
    if (this.inFlight === 0) this.empty?.();
  }

  /** Lets nobody in any more and waits until all have left, for at most `graceMs`; false if some are still in. */
  async close(graceMs: number): Promise<boolean> {
    this.closed = true;
    if (this.inFlight === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), graceMs);
    });
    const left = new Promise<boolean>((resolve) => {
      this.empty = () => resolve(true);
    });
    const isEmpty = await Promise.race([left, late]);
    clearTimeout(timer);
    return isEmpty;
  }
}
