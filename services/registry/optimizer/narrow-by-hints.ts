import type { FieldChecks, JsonRecord } from '../check/field-checks.ts';
import type { OptimizationHint } from '../module/module.ts';
import { type KindKey, kinds } from './kinds.ts';
import type { OptimizerType } from './optimizer.ts';

/** The names by which a module's hints may call settings that have one meaning and several names. */
const aliases: Readonly<Record<string, readonly string[]>> = {
  max_demos: ['max_demos', 'max_bootstrapped_demos', 'max_labeled_demos', 'k'],
  temperature: ['init_temperature', 'temperature_for_candidates'],
};

const isFixed = ({ strategy }: OptimizationHint): boolean => strategy === 'fixed';

/**
 * Narrows settings to what the hints of a module allow: a number goes to the nearest allowed one, a choice outside of the allowed ones to the
 * first. A hint for `instructions` or `demos` with the strategy `fixed` refuses kinds that change them, and takes such steps out of a
 * policy. Gives what was changed.
 */
export function narrowByHints(
  given: { readonly type: OptimizerType; readonly config: JsonRecord; readonly hints: readonly OptimizationHint[] },
  checks: FieldChecks,
): JsonRecord {
  const { type, config, hints } = given;
  const narrowed: Record<string, unknown> = {};
  for (const hint of hints) {
    if (isFixed(hint) && (hint.parameter === 'instructions' || hint.parameter === 'demos')) {
      keepFixed(hint.parameter, given, narrowed, checks);
      continue;
    }
    const names = aliases[hint.parameter] ?? [hint.parameter];
    for (const key of kinds[type].keys.filter(({ name }) => names.includes(name))) {
      const now = narrowed[key.name] ?? config[key.name] ?? key.defaultValue;
      const then = nearest(key, now, hint);
      if (then !== undefined && then !== now) narrowed[key.name] = then;
    }
  }
  return narrowed;
}

function keepFixed(
  what: 'instructions' | 'demos',
  { type, config }: { readonly type: OptimizerType; readonly config: JsonRecord },
  narrowed: Record<string, unknown>,
  checks: FieldChecks,
): void {
  const leaves = (kind: OptimizerType): boolean => !kinds[kind].changes.includes(what);
  if (type !== 'beacon') {
    if (!leaves(type)) checks.add('type', `${type} changes the ${what}, which the module keeps fixed`, 'FIXED');
    return;
  }
  const steps = kinds.beacon.keys.find(({ name }) => name === 'steps')!;
  const now = (narrowed.steps ?? config.steps ?? steps.defaultValue) as readonly OptimizerType[];
  const left = now.filter(leaves);
  if (left.length === 0)
    checks.add('config.steps', `all of them change the ${what}, which the module keeps fixed`, 'FIXED');
  else if (left.length < now.length) narrowed.steps = left;
}

function nearest(key: KindKey, now: unknown, { range, choices }: OptimizationHint): unknown {
  if (key.type === 'integer' || key.type === 'number') {
    const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = key;
    const fits = (value: number): boolean => value >= minimum && value <= maximum;
    const numbers = choices?.filter((value): value is number => typeof value === 'number' && fits(value)) ?? [];
    if (range !== undefined) {
      if (typeof now !== 'number') return undefined;
      const least = key.type === 'integer' ? Math.ceil(range.min) : range.min;
      const most = key.type === 'integer' ? Math.floor(range.max) : range.max;
      const clamped = Math.min(Math.max(now, least), most);
      return fits(clamped) ? clamped : undefined;
    }
    if (numbers.length === 0) return undefined;
    const from = typeof now === 'number' ? now : numbers[0]!;
    return numbers.reduce((best, value) => (Math.abs(value - from) < Math.abs(best - from) ? value : best));
  }
  if (key.type !== 'choice' && key.type !== 'boolean') return undefined;
  const allowed = choices?.filter((value) =>
    key.type === 'boolean' ? typeof value === 'boolean' : key.choices!.includes(value as string),
  );
  if (allowed === undefined || allowed.length === 0 || allowed.includes(now)) return undefined;
  return allowed[0];
}
