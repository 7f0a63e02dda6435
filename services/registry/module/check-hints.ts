import type { FieldChecks } from '../check/field-checks.ts';
import type { OptimizationHint } from './module.ts';

const hintsMax = 64;
const choicesMax = 256;

/** Checks what an optimizer may try: each parameter once, with a range or a list of choices. */
export function checkHints(hints: readonly OptimizationHint[], checks: FieldChecks): void {
  if (hints.length > hintsMax) checks.add('optimization_hints', `must have at most ${hintsMax} entries`, 'TOO_MANY');
  const parameters = new Set<string>();
  for (const [index, hint] of hints.slice(0, hintsMax).entries()) {
    const field = `optimization_hints[${index}]`;
    checks.text(`${field}.parameter`, hint.parameter, { max: 128, required: true, oneLine: true });
    if (parameters.has(hint.parameter)) checks.add(`${field}.parameter`, 'stands twice', 'DUPLICATE_ITEM');
    parameters.add(hint.parameter);
    checks.text(`${field}.strategy`, hint.strategy, { max: 64, oneLine: true });
    checkSpace(field, hint, checks);
  }
}

function checkSpace(field: string, { range, choices }: OptimizationHint, checks: FieldChecks): void {
  if (range === undefined && choices === undefined) {
    checks.add(field, 'needs a range or choices', 'REQUIRED');
  } else if (range !== undefined) {
    const { min, max } = range;
    if (!Number.isFinite(min) || !Number.isFinite(max) || min > max) {
      checks.add(`${field}.range`, 'must be two numbers, the least first');
    }
  } else if (choices !== undefined) {
    if (choices.length === 0) checks.add(`${field}.choices`, 'must have at least one value', 'REQUIRED');
    if (choices.length > choicesMax)
      checks.add(`${field}.choices`, `must have at most ${choicesMax} values`, 'TOO_MANY');
    checks.json(`${field}.choices`, { values: choices.slice(0, choicesMax) });
  }
}
