import { parse } from '@bufbuild/cel';
import { pipelineLimits, type Root } from '../pipeline.ts';
import { isFunction } from './environment.ts';
import { ExpressionError, oneLine } from './expression-error.ts';

/** A parsed expression: CEL's syntax tree. */
export type Tree = ReturnType<typeof parse>['expr'];

/** A place that an expression looks at, as far as its text says. */
export type Reference = { readonly root: Root; readonly path: readonly (string | number)[] };

/** An expression that keeps to the bounds. */
export type ParsedExpression = { readonly tree: Tree; readonly references: readonly Reference[] };

const roots: ReadonlySet<string> = new Set<Root>(['input', 'steps', 'error']);
const typeNames = new Set(['bool', 'int', 'uint', 'double', 'string', 'bytes', 'list', 'map', 'null_type', 'type']);
const nestingMax = 40;

/**
 * Parses a CEL expression and finds what it looks at: `steps` only by the name of a step, so that it is known what must come first.
 * Throws ExpressionError for what is no CEL, calls what is not there, or is larger than `pipelineLimits` allow.
 */
export function parseExpression(text: string): ParsedExpression {
  const { expressionCharactersMax } = pipelineLimits;
  if (text.trim() === '') throw new ExpressionError('the expression is empty');
  if (text.length > expressionCharactersMax) {
    throw new ExpressionError(`the expression has more than ${expressionCharactersMax} characters`);
  }
  if (!text.isWellFormed() || text.includes('\0')) {
    throw new ExpressionError('the expression holds \\u0000 or half a surrogate pair');
  }
  const walk = new Walk();
  const tree = parseTree(text);
  walk.visit(tree, [], 0, 0);
  return { tree, references: walk.references };
}

function parseTree(text: string): Tree {
  try {
    return parse(text).expr;
  } catch (error) {
    throw new ExpressionError(`is no CEL expression: ${oneLine(error)}`, error);
  }
}

class Walk {
  readonly references: Reference[] = [];
  private parts = 0;

  visit(tree: Tree | undefined, names: readonly string[], loops: number, depth: number): void {
    if (tree === undefined) return;
    if (++this.parts > pipelineLimits.expressionPartsMax) {
      throw new ExpressionError(`the expression has more than ${pipelineLimits.expressionPartsMax} parts`);
    }
    if (depth > nestingMax) throw new ExpressionError(`the expression is nested deeper than ${nestingMax} levels`);
    const place = placeOf(tree);
    if (place !== undefined && !names.includes(place.name)) this.look(place);
    else if (tree.exprKind.case === 'comprehensionExpr') this.loop(tree.exprKind.value, names, loops, depth + 1);
    else for (const child of childrenOf(tree)) this.visit(child, names, loops, depth + 1);
  }

  private loop(loop: Loop, names: readonly string[], loops: number, depth: number): void {
    if (loops >= pipelineLimits.expressionLoopsMax) {
      throw new ExpressionError(
        `the expression has more than ${pipelineLimits.expressionLoopsMax} loops in each other`,
      );
    }
    if (roots.has(loop.iterVar)) throw new ExpressionError(`\`${loop.iterVar}\` is no name for a variable of a loop`);
    this.visit(loop.iterRange, names, loops, depth);
    const inner = [...names, loop.iterVar, loop.accuVar];
    for (const part of [loop.accuInit, loop.loopCondition, loop.loopStep, loop.result]) {
      this.visit(part, inner, loops + 1, depth);
    }
  }

  private look({ name, path }: Place): void {
    if (typeNames.has(name) && path.length === 0) return;
    if (!roots.has(name)) {
      throw new ExpressionError(`there is no \`${shown(name)}\`; an expression looks at \`input\` and \`steps\``);
    }
    if (name === 'steps' && typeof path[0] !== 'string') {
      throw new ExpressionError('`steps` must be followed by the id of a step, as in `steps.retrieve`');
    }
    this.references.push({ root: name as Root, path });
  }
}

/** The parts of an expression; ExpressionError if it calls or makes what is not there. */
function childrenOf({ exprKind }: Tree): (Tree | undefined)[] {
  switch (exprKind.case) {
    case 'selectExpr':
      return [exprKind.value.operand];
    case 'callExpr':
      if (isFunction(exprKind.value.function)) return [exprKind.value.target, ...exprKind.value.args];
      throw new ExpressionError(`there is no function \`${shown(exprKind.value.function)}\``);
    case 'listExpr':
      return exprKind.value.elements;
    case 'structExpr':
      if (exprKind.value.messageName === '') {
        return exprKind.value.entries.flatMap(({ keyKind, value }) =>
          keyKind.case === 'mapKey' ? [keyKind.value, value] : [value],
        );
      }
      throw new ExpressionError(`there is no type \`${shown(exprKind.value.messageName)}\``);
    default:
      return [];
  }
}

type Loop = Extract<Tree['exprKind'], { case: 'comprehensionExpr' }>['value'];
type Place = { readonly name: string; readonly path: readonly (string | number)[] };

/** The place that a chain of selections and constant indexes names; undefined for any other expression. */
function placeOf(tree: Tree): Place | undefined {
  const path: (string | number)[] = [];
  let at: Tree | undefined = tree;
  while (at !== undefined) {
    const { exprKind }: Tree = at;
    if (exprKind.case === 'identExpr') return { name: exprKind.value.name, path: path.reverse() };
    if (exprKind.case === 'selectExpr') {
      // What `has` asks for may well be missing.
      if (!exprKind.value.testOnly) path.push(exprKind.value.field);
      at = exprKind.value.operand;
    } else if (exprKind.case === 'callExpr' && exprKind.value.function === '_[_]') {
      const key = constantOf(exprKind.value.args[1]);
      if (key === undefined) return undefined;
      path.push(key);
      at = exprKind.value.args[0];
    } else return undefined;
  }
  return undefined;
}

function constantOf(tree: Tree | undefined): string | number | undefined {
  if (tree?.exprKind.case !== 'constExpr') return undefined;
  const { constantKind } = tree.exprKind.value;
  if (constantKind.case === 'stringValue') return constantKind.value;
  return constantKind.case === 'int64Value' ? Number(constantKind.value) : undefined;
}

function shown(name: string): string {
  return name.slice(0, 64);
}
