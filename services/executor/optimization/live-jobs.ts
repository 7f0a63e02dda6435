import type { ToldProgress } from '../sidecar/optimizer-session.ts';
import type { JobSpend } from './optimization.ts';

/** What happens to a job that runs in this process and is not kept. */
export type LiveJobEvent =
  | { readonly kind: 'progress'; readonly progress: ToldProgress; readonly spend: JobSpend }
  | { readonly kind: 'log'; readonly level: string; readonly text: string }
  /** Something that is kept has changed. */
  | { readonly kind: 'changed' };

/** The jobs that run in this process, and who watches them. */
export class LiveJobs {
  readonly #listeners = new Map<string, Set<(event: LiveJobEvent) => void>>();

  /** Tells everybody who watches a job. */
  tell(jobId: string, event: LiveJobEvent): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener(event);
  }

  /** Listens from now on; gives the way to stop. */
  listen(jobId: string, listener: (event: LiveJobEvent) => void): () => void {
    const listeners = this.#listeners.get(jobId) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(jobId, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(jobId) === listeners) this.#listeners.delete(jobId);
    };
  }
}
