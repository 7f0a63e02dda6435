import { AppError } from '@signet/kit/error/app-error.ts';
import { normalizeError } from '@signet/kit/error/normalize.ts';
import type { GroupStep, Step } from '@signet/pipeline/pipeline.ts';
import type { JsonObject, JsonValue } from '@signet/signature/json.ts';
import type { PipelineRun, StepSurroundings } from './pipeline-run.ts';
import { stopped } from './step-failure.ts';

/**
 * Runs the steps of a group, so many at once as it says, and gives the results of those that ended well by their ids. Fails with the first
 * failure that counts, or when fewer end well than it demands; what still runs of it is stopped then.
 */
export async function runGroup(run: PipelineRun, group: GroupStep, within: StepSurroundings): Promise<JsonObject> {
  const stop = new AbortController();
  const forward = (): void => stop.abort(within.signal.reason);
  within.signal.addEventListener('abort', forward);
  if (within.signal.aborted) forward();
  try {
    return await new GroupRun(run, group, { ...within, signal: stop.signal }, stop).run();
  } finally {
    within.signal.removeEventListener('abort', forward);
  }
}

class GroupRun {
  private readonly outer: PipelineRun;
  private readonly group: GroupStep;
  private readonly within: StepSurroundings;
  private readonly stop: AbortController;
  private readonly values = new Map<string, JsonValue>();
  private next = 0;
  private lost = 0;
  private failure: unknown;
  private failedStep = '';

  constructor(run: PipelineRun, group: GroupStep, within: StepSurroundings, stop: AbortController) {
    this.outer = run;
    this.group = group;
    this.within = within;
    this.stop = stop;
  }

  async run(): Promise<JsonObject> {
    const { steps, maxConcurrency, minSuccess } = this.group;
    const lines = Array.from({ length: Math.min(maxConcurrency, steps.length) }, () => this.line());
    await Promise.all(lines);
    const { signal } = this.within;
    if (this.failure !== undefined && (minSuccess === undefined || this.values.size < minSuccess)) throw this.refusal();
    if (signal.aborted) throw signal.reason;
    if (minSuccess !== undefined && this.values.size < minSuccess) throw this.refusal();
    // In the order of the spec, whichever came first.
    return new Map(steps.flatMap(({ id }) => (this.values.has(id) ? [[id, this.values.get(id)!] as const] : [])));
  }

  private async line(): Promise<void> {
    const { steps } = this.group;
    while (this.next < steps.length && !this.within.signal.aborted) await this.one(steps[this.next++]!);
  }

  private async one(step: Step): Promise<void> {
    try {
      const { value, isWell } = await this.outer.runStep(step, this.within);
      if (isWell) this.values.set(step.id, value);
      else this.lose();
    } catch (failure) {
      if (this.failure === undefined && !this.within.signal.aborted) {
        this.failure = failure;
        this.failedStep = step.id;
      }
      this.lose();
      if (this.group.minSuccess === undefined) this.end();
    }
  }

  private lose(): void {
    this.lost += 1;
    const { steps, minSuccess } = this.group;
    if (minSuccess !== undefined && steps.length - this.lost < minSuccess) this.end();
  }

  private end(): void {
    this.stop.abort(stopped(`The group \`${this.group.id}\` has failed`));
  }

  private refusal(): unknown {
    const { id, minSuccess, steps } = this.group;
    if (minSuccess === undefined) return this.failure;
    const of = `The group \`${id}\` needs ${minSuccess} of its ${steps.length} steps; ${this.values.size} ended well`;
    if (this.failure === undefined) return new AppError('MODULE_FAILED', of, { metadata: { step: id } });
    const { reason, message, metadata } = normalizeError(this.failure);
    return new AppError(reason, `${of}: ${this.failedStep}: ${message}`, { metadata: { ...metadata, step: id } });
  }
}
