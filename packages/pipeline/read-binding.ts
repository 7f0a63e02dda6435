import { isArray, isObject, JsonNumber, type JsonObject, type JsonValue } from '@signet/signature/json.ts';
import { ExpressionError } from './expression/expression-error.ts';
import { parseExpression } from './expression/parse-expression.ts';
import { at, type Faults, shown } from './fault.ts';
import type { Binding, Root } from './pipeline.ts';

/** What stands for a value that is at fault: it looks at nothing and may be anything, so that nothing else is at fault because of it. */
export const unreadable: Binding = { kind: 'cel', expression: 'null' };

/**
 * Reads a value of a spec: `{"$ref": "steps.retrieve.passages"}` is a reference, `{"$cel": "…"}` an expression, `{"$literal": …}` what
 * stands in it, and anything else is what it is, with those inside. What cannot be read is added to `faults` and is null.
 */
export function readBinding(value: JsonValue, path: string, faults: Faults): Binding {
  if (isArray(value)) {
    const items = value.map((item, index) => readBinding(item, at(path, index), faults));
    return items.every(isLiteral) ? { kind: 'literal', value: items.map(literalOf) } : { kind: 'list', items };
  }
  if (!isObject(value)) return { kind: 'literal', value };
  const marks = [...value.keys()].filter((key) => key.startsWith('$'));
  if (marks.length > 0) return readMarked(value, marks, path, faults);
  const members = new Map<string, Binding>();
  for (const [key, member] of value) members.set(key, readBinding(member, at(path, key), faults));
  if (![...members.values()].every(isLiteral)) return { kind: 'object', members };
  return { kind: 'literal', value: new Map([...members].map(([key, member]) => [key, literalOf(member)])) };
}

function literalOf(binding: Binding): JsonValue {
  return binding.kind === 'literal' ? binding.value : null;
}

// What is inside of a marked literal must stay marked when the whole is written again.
function isLiteral(binding: Binding): boolean {
  return binding.kind === 'literal' && !hasMarks(binding.value);
}

function readMarked(value: JsonObject, marks: readonly string[], path: string, faults: Faults): Binding {
  const [mark = ''] = marks;
  const given = value.get(mark) ?? null;
  if (value.size > 1) {
    faults.add(
      path,
      'INVALID',
      `\`${shown(mark)}\` must stand alone; write \`{"$literal": …}\` around what only looks like it`,
    );
  } else if (mark === '$literal') return { kind: 'literal', value: given };
  else if (mark === '$ref') return readReference(given, path, faults);
  else if (mark === '$cel') return readExpression(given, path, faults);
  else faults.add(path, 'INVALID', `\`${shown(mark)}\` is unknown; there are $ref, $cel and $literal`);
  return unreadable;
}

/** Reads a CEL expression. */
export function readExpression(given: JsonValue, path: string, faults: Faults): Binding {
  if (typeof given !== 'string') faults.add(path, 'EXPRESSION', 'a CEL expression must be a text');
  else {
    try {
      parseExpression(given);
      return { kind: 'cel', expression: given };
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      faults.add(path, 'EXPRESSION', error.message);
    }
  }
  return unreadable;
}

const referenceForm = 'as in `input.question`, `steps.retrieve.passages[0]`, `input(question)` or `result(retrieve)`';
const roots: ReadonlySet<string> = new Set<Root>(['input', 'steps', 'error']);
const partForm = /\.([^.[\]()"]+)|\[(-?[0-9]{1,9})\]|\["((?:[^"\\]|\\.)*)"\]/y;

/** Reads the text of a reference. */
export function readReference(given: JsonValue, path: string, faults: Faults): Binding {
  const read = typeof given === 'string' ? parseReference(given) : undefined;
  if (read !== undefined) return read;
  const what = typeof given === 'string' ? `\`${shown(given)}\`` : 'it';
  faults.add(path, 'INVALID', `${what} is no reference, ${referenceForm}`);
  return unreadable;
}

/** A reference out of its text; undefined if it is none. */
export function parseReference(text: string): Binding | undefined {
  if (text.length > 1000 || !text.isWellFormed()) return undefined;
  const call = /^(input|result)\(\s*:?([A-Za-z_][A-Za-z0-9_]*)\s*\)/.exec(text);
  const start = call?.[0] ?? /^[a-z]+/.exec(text)?.[0] ?? '';
  const root = call === null ? start : call[1] === 'input' ? 'input' : 'steps';
  if (!roots.has(root)) return undefined;
  const path: (string | number)[] = call === null ? [] : [call[2] ?? ''];
  partForm.lastIndex = start.length;
  while (partForm.lastIndex < text.length) {
    const part = partForm.exec(text);
    if (part === null) return undefined;
    const [, name, index, quoted] = part;
    if (index !== undefined) path.push(Number(index));
    else path.push(name ?? unquote(quoted ?? ''));
  }
  if (root === 'steps' && typeof path[0] !== 'string') return undefined;
  return { kind: 'ref', root: root as Root, path };
}

/** Writes a reference as its text. */
export function printReference(root: Root, path: readonly (string | number)[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return /^[^.[\]()"]+$/.test(step) ? `${text}.${step}` : `${text}[${JSON.stringify(step)}]`;
  }, root);
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(`"${text}"`));
  } catch {
    return text;
  }
}

/** True for a value that would be read as a reference, an expression or a marked literal, or holds one that would. */
export function hasMarks(value: JsonValue): boolean {
  if (value === null || typeof value !== 'object' || value instanceof JsonNumber) return false;
  if (isArray(value)) return value.some(hasMarks);
  if (!isObject(value)) return false;
  return [...value].some(([key, member]) => key.startsWith('$') || hasMarks(member));
}
