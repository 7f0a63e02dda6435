import { createHash } from 'node:crypto';
import type { FieldChecks } from '../check/field-checks.ts';
import type { Split } from './dataset.ts';

/** Shares of the splits; together they count as the whole. */
export type SplitRatios = { readonly train: number; readonly validation: number; readonly test: number };

/** Chooses the split of examples that name none. */
export type SplitChooser = {
  /** True if all of them have the one that the import names. */
  readonly isGiven: boolean;
  /** Chooses by the hash of an example's inputs. */
  choose(keyHash: Buffer): Split;
};

/** How the split of rows that name none is chosen. */
export type SplitRule = {
  /** Null for a value that nobody knows. */
  readonly split: Split | undefined | null;
  readonly ratios: SplitRatios | undefined;
  /** A 64-bit integer as text. */
  readonly seed: string;
};

/** Makes the chooser of an import; what is wrong with its rule is added to the checks. */
export function createSplitChooser({ split, ratios, seed }: SplitRule, checks: FieldChecks): SplitChooser {
  if (split === null) checks.add('split', 'is not a known value', 'UNKNOWN_VALUE');
  if (ratios === undefined) {
    return { isGiven: split !== undefined, choose: () => split ?? 'train' };
  }
  if (split !== undefined) checks.add('ratios', 'cannot be given together with split', 'AMBIGUOUS');
  const shares = [ratios.train, ratios.validation, ratios.test];
  const whole = shares.reduce((sum, share) => sum + share, 0);
  if (!shares.every((share) => share >= 0) || !(whole > 0 && whole < Number.POSITIVE_INFINITY)) {
    checks.add('ratios', 'must be 0 or more each, and more than 0 together', 'OUT_OF_RANGE');
  }
  const choose = (keyHash: Buffer): Split => {
    const hash = createHash('sha256').update(seed).update(':').update(keyHash).digest();
    const point = (hash.readUIntBE(0, 6) / 2 ** 48) * whole;
    if (point < ratios.train) return 'train';
    return point < ratios.train + ratios.validation ? 'validation' : 'test';
  };
  return { isGiven: false, choose };
}
