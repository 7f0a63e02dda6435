import { AppError } from '@signet/kit/error/app-error.ts';
import type { JsonRecord } from '../check/field-checks.ts';

/** The kinds of optimizers, the cheapest first. */
export const optimizerTypes = [
  ...(['labeled_few_shot', 'bootstrap', 'random_search', 'infer_rules', 'copro', 'mipro', 'gepa', 'simba'] as const),
  ...(['beacon', 'custom'] as const),
] as const;

/** A kind of optimizers. */
export type OptimizerType = (typeof optimizerTypes)[number];

/** An optimizer as it is kept. */
export type Optimizer = {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly description: string;
  readonly type: OptimizerType;
  /** Settings of the kind, and what jobs find here that requests leave out. */
  readonly config: JsonRecord;
  /** What it did last. */
  readonly state: JsonRecord;
  readonly labels: Record<string, string>;
  readonly rowVersion: number;
  readonly createTime: Date;
  readonly updateTime: Date;
};

/** The error for an optimizer that is not there; names the field of the request that asked for it, if one did. */
export function optimizerNotFound(named: string, field?: string): AppError {
  const resource = named.slice(0, 100).toWellFormed().replaceAll('\0', '');
  const description = `there is no optimizer \`${resource}\``;
  return new AppError('OPTIMIZER_NOT_FOUND', `There is no optimizer \`${resource}\``, {
    metadata: { resource, ...(field === undefined ? {} : { field }) },
    fieldViolations: field === undefined ? [] : [{ field, reason: 'OPTIMIZER_NOT_FOUND', description }],
  });
}
