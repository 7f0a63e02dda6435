import { pathStep } from './json.ts';
import { limits } from './limits.ts';

/** Why a value does not fit. */
export type ViolationReason =
  | 'FIELD_UNKNOWN'
  | 'FIELD_MISSING'
  | 'TYPE_MISMATCH'
  | 'CONSTRAINT_VIOLATED'
  | 'TEXT_INVALID'
  | 'DUPLICATE_ITEM';

/** One fault of a value; `field` is its path, such as `inputs.context[2]`. The description never repeats the value. */
export interface FieldViolation {
  readonly field: string;
  readonly reason: ViolationReason;
  readonly description: string;
}

/** One check under way: where it stands and what it found. */
export interface Run {
  readonly root: string;
  /** Keys and indexes below the root; only the first `depth` count. */
  readonly path: (string | number)[];
  depth: number;
  /** Above zero while a union tries a member: faults are not recorded then. */
  trials: number;
  readonly violations: FieldViolation[];
}

/** Begins a check below a root such as `inputs`. */
export function startRun(root: string): Run {
  return { root, path: [], depth: 0, trials: 0, violations: [] };
}

/** Records a fault at the present place, up to 100; gives back nothing, as a refused value does. */
export function refuse(run: Run, reason: ViolationReason, description: string): undefined {
  if (run.trials > 0 || run.violations.length >= limits.violationsMax) return undefined;
  let field = run.root;
  for (let index = 0; index < run.depth; index++) {
    const step = run.path[index]!;
    field += typeof step === 'number' ? `[${step}]` : pathStep(step);
  }
  run.violations.push({ field, reason, description });
  return undefined;
}

/** True if looking further would record nothing more. */
export function isSettled(run: Run): boolean {
  return run.trials > 0 || run.violations.length >= limits.violationsMax;
}
