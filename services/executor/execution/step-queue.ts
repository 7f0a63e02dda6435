import type { StepRow } from './execution.ts';
import type { ExecutionRecord } from './execution-record.ts';

/** Steps that are still to be kept, in the order in which they were told. */
export class StepQueue {
  private waiting: StepRow[] = [];
  /** Those on their way by themselves: whether they arrive before their execution's end is not known. */
  private readonly away = new Set<readonly StepRow[]>();

  get length(): number {
    return this.waiting.length;
  }

  push(step: StepRow): void {
    this.waiting.push(step);
  }

  /** Takes what goes along with a write of these executions, so that whoever sees an end finds all steps before it. */
  takeWith(records: readonly ExecutionRecord[]): StepRow[] {
    if (this.waiting.length === 0 && this.away.size === 0) return [];
    const ids = new Set(records.map(({ id }) => id));
    const isOf = ({ executionId }: StepRow): boolean => ids.has(executionId);
    // Sent a second time: kept once, by whichever write comes first, for which the other waits.
    const taken = [...this.away].flatMap((steps) => steps.filter(isOf));
    for (const step of this.waiting) if (isOf(step)) taken.push(step);
    if (taken.length > 0) this.waiting = this.waiting.filter((step) => !isOf(step));
    return taken;
  }

  /** Takes steps to be written by themselves, but for those of executions whose first rows are on their way: too early, they would be lost. */
  takeAlone(flying: Iterable<readonly ExecutionRecord[]>, countMax: number): StepRow[] {
    const early = new Set<string>();
    for (const records of flying) for (const record of records) if (record.isNew) early.add(record.id);
    const taken: StepRow[] = [];
    const left: StepRow[] = [];
    for (const step of this.waiting)
      (taken.length < countMax && !early.has(step.executionId) ? taken : left).push(step);
    this.waiting = left;
    return taken;
  }

  /** Hears of a write of steps by themselves, and of its end. */
  async follow(steps: readonly StepRow[], write: Promise<void>): Promise<void> {
    this.away.add(steps);
    await write.catch(() => undefined);
    this.away.delete(steps);
  }

  /** Puts steps in line again, first. */
  comeBack(steps: readonly StepRow[]): void {
    if (steps.length > 0) this.waiting = [...steps, ...this.waiting];
  }
}
