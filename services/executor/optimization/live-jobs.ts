/** Who watches which job in this process: they are woken when something of it has changed here, and look for themselves. */
export class LiveJobs {
  readonly #listeners = new Map<string, Set<() => void>>();

  /** Wakes everybody who watches a job. */
  tell(jobId: string): void {
    for (const listener of this.#listeners.get(jobId) ?? []) listener();
  }

  /** Listens from now on; gives the way to stop. */
  listen(jobId: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(jobId) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(jobId, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(jobId) === listeners) this.#listeners.delete(jobId);
    };
  }
}
