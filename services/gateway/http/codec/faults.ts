import { AppError, type FieldViolation } from '@signet/kit/error/app-error.ts';
import { pathStep } from '@signet/signature/json.ts';

const violationsMax = 100;

/** Gathers what is wrong with a request while it is read, each with the path at which the caller wrote it. */
export class Faults {
  readonly violations: FieldViolation[] = [];
  private readonly steps: (string | number)[] = [];

  /** Goes down to a key or an index. */
  enter(step: string | number): void {
    this.steps.push(step);
  }

  /** Goes back up. */
  leave(): void {
    this.steps.pop();
  }

  /** Records a fault at the present place, up to 100. */
  add(reason: string, description: string): void {
    this.addAt(this.path(), reason, description);
  }

  /** Records a fault at another place. */
  addAt(field: string, reason: string, description: string): void {
    if (this.violations.length < violationsMax) this.violations.push({ field, reason, description });
  }

  /** The present place, such as `configuration.demos[2]`. */
  path(): string {
    let path = '';
    for (const step of this.steps) {
      if (typeof step === 'number') path += `[${step}]`;
      else path += path === '' ? pathStep(step).replace(/^\./, '') : pathStep(step);
    }
    return path;
  }

  /** Throws INVALID_REQUEST if anything was recorded. */
  done(): void {
    const first = this.violations[0];
    if (first === undefined) return;
    throw new AppError('INVALID_REQUEST', `${first.field}: ${first.description}`, {
      fieldViolations: this.violations,
      metadata: { field: first.field },
    });
  }
}
