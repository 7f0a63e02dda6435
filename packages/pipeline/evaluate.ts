import { isArray, isObject, JsonNumber, type JsonValue } from '@signet/signature/json.ts';
import { compileExpression } from './expression/compile-expression.ts';
import { ExpressionError } from './expression/expression-error.ts';
import type { Binding, Scope } from './pipeline.ts';

/**
 * Finds a binding's value. A reference to what is not there is null. ExpressionError for an expression that fails; one that
 * takes longer than a second does.
 */
export function evaluate(binding: Binding, scope: Scope): JsonValue {
  switch (binding.kind) {
    case 'literal':
      return binding.value;
    case 'ref':
      return lookUp(scope[binding.root] ?? null, binding.path);
    case 'cel':
      return compileExpression(binding.expression)(scope);
    case 'list':
      return binding.items.map((item) => evaluate(item, scope));
    case 'object':
      return new Map([...binding.members].map(([name, member]) => [name, evaluate(member, scope)]));
  }
}

/** Finds out whether a step may run. ExpressionError if the condition fails or is neither true nor false. */
export function evaluateCondition(condition: Binding, scope: Scope): boolean {
  const value = evaluate(condition, scope);
  if (typeof value === 'boolean') return value;
  throw new ExpressionError('the condition is neither true nor false');
}

function lookUp(from: JsonValue, path: readonly (string | number)[]): JsonValue {
  let at: JsonValue = from;
  for (const step of path) {
    if (at === null || typeof at !== 'object' || at instanceof JsonNumber) return null;
    if (isObject(at)) at = at.get(String(step)) ?? null;
    else if (isArray(at)) at = (typeof step === 'number' ? at[step < 0 ? at.length + step : step] : undefined) ?? null;
  }
  return at;
}
