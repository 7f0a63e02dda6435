import type { Operator } from './ast.ts';
import { filterError, shown } from './filter-error.ts';

/** A piece of a filter; `at` is its column, from 1. */
export type Token =
  | { readonly kind: 'word' | 'text'; readonly text: string; readonly at: number }
  | { readonly kind: 'operator'; readonly text: Operator; readonly at: number }
  | { readonly kind: 'open' | 'close' | 'end'; readonly text: string; readonly at: number };

const space = /\s/;
const word = /[^\s()=<>!:"']+/y;
const operator = /<=|>=|!=|=|<|>|:/y;

/** Cuts a filter into tokens, the last of them `end`; FILTER_SYNTAX for what can be no token. */
export function tokenizeFilter(text: string): Token[] {
  if (!text.isWellFormed() || text.includes('\u0000')) {
    throw filterError(1, 'must not hold \\u0000 or half a surrogate pair');
  }
  const tokens: Token[] = [];
  let index = 0;
  while (index < text.length) {
    const character = text[index]!;
    if (space.test(character)) {
      index++;
      continue;
    }
    const token = readToken(text, index, character);
    tokens.push(token.token);
    index = token.end;
  }
  tokens.push({ kind: 'end', text: '', at: text.length + 1 });
  return tokens;
}

function readToken(text: string, index: number, character: string): { token: Token; end: number } {
  const at = index + 1;
  if (character === '(') return { token: { kind: 'open', text: '(', at }, end: index + 1 };
  if (character === ')') return { token: { kind: 'close', text: ')', at }, end: index + 1 };
  if (character === '"' || character === "'") return readQuoted(text, index, character);
  operator.lastIndex = index;
  const found = operator.exec(text)?.[0];
  if (found !== undefined) {
    return { token: { kind: 'operator', text: found as Operator, at }, end: index + found.length };
  }
  word.lastIndex = index;
  const plain = word.exec(text)?.[0];
  if (plain === undefined) throw filterError(at, `unexpected ${shown(character)}`);
  return { token: { kind: 'word', text: plain, at }, end: index + plain.length };
}

function readQuoted(text: string, start: number, quote: string): { token: Token; end: number } {
  let value = '';
  for (let index = start + 1; index < text.length; index++) {
    const character = text[index]!;
    if (character === quote) return { token: { kind: 'text', text: value, at: start + 1 }, end: index + 1 };
    if (character !== '\\') {
      value += character;
      continue;
    }
    const escaped = text[++index];
    if (escaped !== quote && escaped !== '\\') {
      throw filterError(index, 'a backslash stands only before a quote or a backslash');
    }
    value += escaped;
  }
  throw filterError(start + 1, 'the quoted text does not end');
}
