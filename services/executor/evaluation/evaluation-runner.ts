import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import { renewMs } from './evaluation.ts';
import type { EvaluationClaim } from './lease.postgres.ts';
import { type EvaluateDeps, runEvaluation, type Turn } from './run-evaluation.ts';

const pollMs = 1_000;

type Running = { readonly token: number; readonly turn: Turn; readonly done: Promise<void> };

/** Takes evaluations out of the database and runs them, a bounded number at a time; those of lost processes too. */
export class EvaluationRunner {
  readonly #deps: EvaluateDeps;
  readonly #max: number;
  readonly #running = new Map<string, Running>();
  #isOpen = false;
  #turn: Promise<void> | undefined;
  #poll: NodeJS.Timeout | undefined;
  #renew: NodeJS.Timeout | undefined;

  constructor(deps: EvaluateDeps, max: number) {
    this.#deps = deps;
    this.#max = max;
  }

  /** Begins to take work: at once, whenever it is woken, and each second. */
  start(): void {
    this.#isOpen = true;
    this.#poll = setInterval(() => this.wake(), pollMs);
    this.#renew = setInterval(() => void this.#renewAll(), renewMs);
    this.wake();
  }

  /** There may be work. */
  wake(): void {
    if (!this.#isOpen || this.#turn !== undefined) return;
    this.#turn = this.#claim().finally(() => {
      this.#turn = undefined;
    });
  }

  /** Ends one that runs here, if it does. */
  cancel(id: string): void {
    this.#running.get(id)?.turn.stop.abort(cancelled());
  }

  /** Takes nothing more, gives the examples under way `graceMs` to end, and hands back what is left: other executors go on with it. */
  async close(graceMs: number): Promise<void> {
    this.#isOpen = false;
    clearInterval(this.#poll);
    await this.#turn;
    const running = [...this.#running.values()];
    const timer = setTimeout(() => {
      const leaving = new AppError('SHUTTING_DOWN', 'The executor is shutting down');
      for (const { turn } of running) turn.stop.abort(leaving);
    }, graceMs);
    await Promise.all(running.map(({ done }) => done));
    clearTimeout(timer);
    clearInterval(this.#renew);
  }

  async #claim(): Promise<void> {
    const free = this.#max - this.#running.size;
    if (free <= 0) return;
    let claims: EvaluationClaim[];
    try {
      claims = await this.#deps.evaluationLeases.claim(free);
    } catch (error) {
      this.#deps.log.debug({ reason: normalizeError(error).reason }, 'could not look for evaluations');
      return;
    }
    for (const claim of claims) {
      const turn: Turn = { stop: new AbortController(), isLeaving: () => !this.#isOpen };
      const { id } = claim.evaluation;
      const done = this.#run(claim, turn).finally(() => {
        this.#running.delete(id);
        this.wake();
      });
      this.#running.set(id, { token: claim.token, turn, done });
    }
  }

  async #run(claim: EvaluationClaim, turn: Turn): Promise<void> {
    const { id } = claim.evaluation;
    try {
      await runEvaluation(this.#deps, claim, turn);
    } catch (error) {
      const { reason } = normalizeError(error);
      this.#deps.log.warn({ evaluation_id: id, reason, err: error }, 'an evaluation was left to others');
      // For a while after it nobody takes it: what stood in the way has time to pass.
      if (this.#isOpen) await new Promise((resolve) => setTimeout(resolve, pollMs));
      await this.#deps.evaluationLeases.release({ id, token: claim.token }).catch(() => {});
    }
  }

  async #renewAll(): Promise<void> {
    const held = [...this.#running].map(([id, { token }]) => ({ id, token }));
    if (held.length === 0) return;
    try {
      const ours = await this.#deps.evaluationLeases.renew(held);
      for (const { id, token } of held) {
        const running = this.#running.get(id);
        if (running === undefined || running.token !== token) continue;
        const state = ours.get(id);
        if (state?.cancelRequested) running.turn.stop.abort(cancelled());
        // One that has just ended is not ours any more either; then nobody hears this.
        else if (state === undefined)
          running.turn.stop.abort(new AppError('WORKER_LOST', 'The evaluation is not ours any more'));
      }
    } catch (error) {
      this.#deps.log.debug({ reason: normalizeError(error).reason }, 'could not renew evaluations');
    }
  }
}

/** The reason of an evaluation that somebody ended. */
export function cancelled(): AppError {
  return new AppError('CANCELLED', 'The evaluation was cancelled');
}
