import {
  type CelFunc,
  type CelInput,
  type CelList,
  CelScalar,
  celEnv,
  celFunc,
  celList,
  celMethod,
  isCelError,
  listType,
} from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { pipelineLimits } from '../pipeline.ts';

const { BOOL, DYN, INT, STRING } = CelScalar;
const texts = listType(STRING);
const anything = listType(DYN);

/** Of one evaluation, which is synchronous: the turns that its loops may still take, and when it has to be done. */
const budget = { turns: 0, end: 0 };

const evaluationMsMax = 1000;
const charactersMax = 8_388_608;
const itemsMax = 1_000_000;
// A fifth of a second, on a slow machine.
const searchWorkMax = 20_000_000;

/** Gives the loops of the evaluation that begins now their turns. */
export function startEvaluation(): void {
  budget.turns = pipelineLimits.expressionTurnsMax;
  budget.end = performance.now() + evaluationMsMax;
}

/** A loop's condition that counts its turns; expressions cannot name it. */
export const turnFunction = '@turn';

/** What a loop adds its items with: to the list that it alone has, not to a copy of it; expressions cannot name it. */
export const appendFunction = '@append';

function takeTurn(condition: boolean): boolean {
  if (--budget.turns < 0) throw new Error(`its loops take more than ${pipelineLimits.expressionTurnsMax} turns`);
  if (performance.now() > budget.end) throw new Error(`it takes longer than ${evaluationMsMax} ms`);
  return condition;
}

const gathered = new WeakMap<CelList, unknown[]>();

function append(to: CelList, more: CelList): CelList {
  const own = gathered.get(to);
  if (own !== undefined) {
    own.push(...more);
    return to;
  }
  const items: unknown[] = [...to, ...more];
  const made = celList(items as Parameters<typeof celList>[0] & unknown[]);
  gathered.set(made, items);
  return made;
}

function joinLists(a: CelList, b: CelList): CelList {
  if (a.size + b.size > itemsMax) throw new Error(`a list would have more than ${itemsMax} items`);
  return celList([...a, ...b]);
}

function bounded(characters: number): void {
  if (characters > charactersMax) throw new Error(`a text would have more than ${charactersMax} characters`);
}

function joinTexts(items: CelList, separator: string): string {
  const parts = [...items] as string[];
  bounded(parts.reduce((sum, { length }) => sum + length + separator.length, 0));
  return parts.join(separator);
}

function replaceText(text: string, from: string, to: string): string {
  if (from === '') throw new Error('replace: the text to look for is empty');
  searchable(text, from, 20 * searchWorkMax);
  const count = text.split(from).length - 1;
  bounded(text.length + count * Math.max(0, to.length - from.length));
  return text.replaceAll(from, () => to);
}

function splitText(text: string, separator: string): string[] {
  // An empty separator would make an item of each character.
  if (separator === '') bounded(text.length * 64);
  searchable(text, separator, 20 * searchWorkMax);
  return text.split(separator);
}

// Those whose cost is out of proportion to what they are given are ours below.
const textFunctions = new Set(['charAt', 'lowerAscii', 'upperAscii', 'substring', 'trim']);

/** The same functions, for whom searching is refused where text and pattern together make more work than `workMax` comparisons. */
function searching(known: Iterable<CelFunc> | undefined, name: string, workMax: number): CelFunc[] {
  return [...(known ?? [])].flatMap((func) => {
    if (func.name !== name || func.target !== STRING) return [];
    return [
      celMethod(name, STRING, [...func.arguments], func.result, function (...args): CelInput {
        const [pattern] = args;
        searchable(this, String(pattern), workMax);
        const result = func.call(0, this, args);
        if (result === undefined || isCelError(result)) throw result ?? new Error(`${name} takes other arguments`);
        return result;
      }),
    ];
  });
}

function searchable(text: string, pattern: string, workMax: number): void {
  if (text.length * pattern.length > workMax) throw new Error('the text and what is looked for in it are too long');
}

const functions: CelFunc[] = [
  ...strings.filter(({ name }) => textFunctions.has(name)),
  ...searching(strings, 'indexOf', searchWorkMax),
  ...searching(strings, 'lastIndexOf', searchWorkMax),
  ...searching(celEnv().funcs.find('contains'), 'contains', 20 * searchWorkMax),
  ...searching(celEnv().funcs.find('matches'), 'matches', searchWorkMax / 4),
  celFunc(turnFunction, [BOOL], BOOL, takeTurn),
  celFunc(appendFunction, [anything, anything], anything, append),
  celFunc('_+_', [anything, anything], anything, joinLists),
  celFunc('_+_', [STRING, STRING], STRING, (a, b) => {
    bounded(a.length + b.length);
    return a + b;
  }),
  celMethod('join', texts, [], STRING, function () {
    return joinTexts(this, '');
  }),
  celMethod('join', texts, [STRING], STRING, function (separator) {
    return joinTexts(this, separator);
  }),
  celMethod('replace', STRING, [STRING, STRING], STRING, function (from, to) {
    return replaceText(this, from, to);
  }),
  celMethod('split', STRING, [STRING], texts, function (separator) {
    return splitText(this, separator);
  }),
  celMethod('split', STRING, [STRING, INT], texts, function (separator, max) {
    const parts = splitText(this, separator);
    const most = max < 0n ? parts.length : Number(max);
    if (most >= parts.length) return parts;
    return most === 0 ? [] : [...parts.slice(0, most - 1), parts.slice(most - 1).join(separator)];
  }),
];

/** CEL's standard functions and those over texts, none of which can make much out of little. */
export const environment = celEnv({ funcs: functions });

const operators = new Set(['_&&_', '_||_', '_?_:_', '_[_]', '@not_strictly_false', '__not_strictly_false__']);

/** True for a function that expressions may call. */
export function isFunction(name: string): boolean {
  return operators.has(name) || environment.funcs.find(name) !== undefined;
}
