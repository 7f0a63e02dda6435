import { AppError } from '@signet/kit/error/app-error.ts';
import { pathStep } from '@signet/signature/json.ts';
import { pipelineLimits } from './pipeline.ts';

/** What is wrong at one place of a pipeline's spec; `path` is such as `pipeline_spec.steps[2].input.query`. */
export type Fault = { readonly path: string; readonly reason: FaultReason; readonly message: string };

/** Why a part of a spec is refused. */
export type FaultReason =
  | 'INVALID'
  | 'REQUIRED'
  | 'FIELD_UNKNOWN'
  | 'TOO_LONG'
  | 'TOO_MANY'
  | 'TEXT_INVALID'
  | 'DUPLICATE'
  | 'CYCLE'
  | 'UNREACHABLE'
  | 'UNUSED'
  | 'EXPRESSION'
  | 'STEP_UNKNOWN'
  | 'MODULE_INVALID'
  | 'PYTHON_INVALID'
  | 'FUNCTION_INVALID'
  | 'ACTION_INVALID'
  | 'SIGNATURE_INVALID'
  | 'LM_NOT_FOUND'
  | 'INPUT_MISSING'
  | 'TYPE_MISMATCH';

// `steps[10]` comes after `steps[9]`.
const inSpec = new Intl.Collator('en', { numeric: true });

/** Gathers the faults of one spec; at most `faultsMax`, and one for each place and reason. */
export class Faults {
  private readonly found = new Map<string, Fault>();

  /** Adds a fault, unless the place has one of the same reason. */
  add(path: string, reason: FaultReason, message: string): void {
    const key = `${reason} ${path}`;
    if (this.found.size < pipelineLimits.faultsMax && !this.found.has(key)) {
      this.found.set(key, { path, reason, message });
    }
  }

  /** True if there is one for any of these reasons. */
  has(reasons: readonly FaultReason[]): boolean {
    return [...this.found.values()].some(({ reason }) => reasons.includes(reason));
  }

  /** How many there are. */
  get count(): number {
    return this.found.size;
  }

  /** All of them, as they stand in the spec. */
  all(): Fault[] {
    return [...this.found.values()].sort((a, b) => inSpec.compare(a.path, b.path));
  }
}

/** A key as a step of a path. */
export function at(path: string, key: string | number): string {
  return typeof key === 'number' ? `${path}[${key}]` : path + pathStep(key);
}

/** A text of somebody's as a message shows it. */
export function shown(text: string): string {
  return text.slice(0, 100).toWellFormed().replaceAll('\0', '');
}

/** The error for a pipeline with faults: PIPELINE_INVALID with a violation for each. */
export function pipelineInvalid(faults: readonly Fault[]): AppError {
  const first = faults[0];
  const rest = faults.length > 1 ? ` (and ${faults.length - 1} more)` : '';
  return new AppError('PIPELINE_INVALID', `${first?.path}: ${first?.message}${rest}`, {
    metadata: { field: first?.path ?? '' },
    fieldViolations: faults.map(({ path, reason, message }) => ({ field: path, reason, description: message })),
  });
}
