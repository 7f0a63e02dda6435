import { type CelInput, isCelError, plan } from '@bufbuild/cel';
import type { JsonValue } from '@signet/signature/json.ts';
import type { Scope } from '../pipeline.ts';
import { fromCel, toCel } from './cel-value.ts';
import { appendFunction, environment, startEvaluation, turnFunction } from './environment.ts';
import { ExpressionError, oneLine } from './expression-error.ts';
import { parseExpression, type Reference, type Tree } from './parse-expression.ts';

/** An expression that can be evaluated; throws ExpressionError. */
export type Compiled = (scope: Scope) => JsonValue;

const kept = new Map<string, Compiled>();
const keptMax = 2000;

/** Compiles an expression, or finds it among the 2,000 that were compiled last. ExpressionError for one that cannot be read. */
export function compileExpression(text: string): Compiled {
  const found = kept.get(text);
  if (found !== undefined) return found;
  const { tree, references } = parseExpression(text);
  meter(tree);
  const run = plan(environment, tree);
  const compiled: Compiled = (scope) => {
    startEvaluation();
    const result = run(activation(scope, references));
    if (isCelError(result)) throw new ExpressionError(`\`${shown(text)}\` failed: ${oneLine(result)}`, result);
    return fromCel(result);
  };
  if (kept.size >= keptMax) kept.delete(kept.keys().next().value ?? '');
  kept.set(text, compiled);
  return compiled;
}

/** Lets every loop count its turns and gather its items without copying them. */
function meter(tree: Tree | undefined): void {
  if (tree === undefined) return;
  const { exprKind } = tree;
  if (exprKind.case === 'selectExpr') meter(exprKind.value.operand);
  else if (exprKind.case === 'callExpr') {
    const call = exprKind.value;
    const first = call.args[0]?.exprKind;
    // Only the macros write to this variable: no expression can hold on to what it was before.
    if (call.function === '_+_' && first?.case === 'identExpr' && first.value.name === '@result') {
      if (call.args[1]?.exprKind.case === 'listExpr') call.function = appendFunction;
    }
    meter(call.target);
    call.args.forEach(meter);
  } else if (exprKind.case === 'listExpr') exprKind.value.elements.forEach(meter);
  else if (exprKind.case === 'structExpr') {
    for (const { keyKind, value } of exprKind.value.entries) {
      if (keyKind.case === 'mapKey') meter(keyKind.value);
      meter(value);
    }
  } else if (exprKind.case === 'comprehensionExpr') {
    const loop = exprKind.value;
    for (const part of [loop.iterRange, loop.accuInit, loop.loopCondition, loop.loopStep, loop.result]) meter(part);
    if (loop.loopCondition !== undefined) loop.loopCondition = counted(loop.loopCondition);
  }
}

function counted(condition: Tree): Tree {
  const call = { $typeName: 'cel.expr.Expr.Call' as const, function: turnFunction, args: [condition] };
  return { $typeName: 'cel.expr.Expr', id: condition.id, exprKind: { case: 'callExpr', value: call } };
}

/** What an expression sees: only what it looks at, since all of it has to be converted. */
function activation(scope: Scope, references: readonly Reference[]): Record<string, CelInput> {
  const input = new Map<string, CelInput>();
  const steps = new Map<string, CelInput>();
  const error = new Map<string, CelInput>();
  for (const { root, path } of references) {
    const name = path[0];
    if (root === 'error') for (const [key, value] of scope.error ?? []) error.set(key, toCel(value));
    else if (root === 'steps') {
      const id = String(name);
      if (!steps.has(id)) steps.set(id, toCel(scope.steps.get(id) ?? null));
    } else if (typeof name === 'string') {
      if (!input.has(name) && scope.input.has(name)) input.set(name, toCel(scope.input.get(name)!));
    } else for (const [key, value] of scope.input) input.set(key, toCel(value));
  }
  return { input, steps, error };
}

function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80).toWellFormed()}…` : text;
}
