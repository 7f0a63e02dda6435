/** How one engine did lately for one program or module: what performance-based routing goes by. */
export class EngineRecord {
  #latencyMs: number | undefined;
  readonly #failures: boolean[] = [];
  #next = 0;

  /** True while nothing is known. */
  get isEmpty(): boolean {
    return this.#failures.length === 0;
  }

  /** What a run of it costs: its usual latency, ten times dearer where all of the last hundred runs failed. Less is better. */
  get score(): number {
    const failed = this.#failures.filter(Boolean).length;
    const errorRate = this.isEmpty ? 0 : failed / this.#failures.length;
    // A quick failure is no merit: what never succeeded has no latency to be proud of.
    return (this.#latencyMs ?? unknownMs) * (1 + 10 * errorRate);
  }

  /** Notes a run that ended well. */
  succeed(latencyMs: number): void {
    this.#latencyMs =
      this.#latencyMs === undefined ? latencyMs : this.#latencyMs + weight * (latencyMs - this.#latencyMs);
    this.#note(false);
  }

  /** Notes a run that failed for a reason of the engine's. */
  fail(): void {
    this.#note(true);
  }

  #note(failed: boolean): void {
    this.#failures[this.#next] = failed;
    this.#next = (this.#next + 1) % outcomeMax;
  }
}

const weight = 0.2;
const outcomeMax = 100;
const unknownMs = 1_000;
