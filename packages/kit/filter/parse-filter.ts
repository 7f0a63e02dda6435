import type { Comparison, Filter } from './ast.ts';
import { filterError, shown } from './filter-error.ts';
import { type Token, tokenizeFilter } from './lexer.ts';

const charactersMax = 2048;
const depthMax = 16;
const comparisonsMax = 64;

/**
 * Parses a list filter such as `status = ready AND (name : "qa" OR NOT labels.team = "search")`; undefined if it is empty. AND
 * binds tighter than OR, and NOT tighter than both. At most 2,048 characters, 64 comparisons and 16 levels; whatever is wrong is
 * FILTER_SYNTAX with its column.
 */
export function parseFilter(text: string): Filter | undefined {
  if (text.length > charactersMax) throw filterError(charactersMax, `at most ${charactersMax} characters are taken`);
  if (text.trim() === '') return undefined;
  const reader = new Reader(tokenizeFilter(text));
  const filter = reader.alternatives(1);
  reader.expectEnd();
  return filter;
}

class Reader {
  private readonly tokens: readonly Token[];
  private index = 0;
  private comparisons = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  alternatives(depth: number): Filter {
    return this.chain('or', 'OR', () => this.chain('and', 'AND', () => this.negation(depth)));
  }

  expectEnd(): void {
    const { kind, text, at } = this.peek();
    if (kind === 'close') throw filterError(at, 'a parenthesis is closed that was not opened');
    if (kind !== 'end') throw filterError(at, `expected AND, OR or the end, found ${shown(text)}`);
  }

  private peek(): Token {
    return this.tokens[this.index]!;
  }

  private chain(kind: 'and' | 'or', keyword: string, read: () => Filter): Filter {
    const terms = [read()];
    while (this.takeKeyword(keyword)) terms.push(read());
    return terms.length === 1 ? terms[0]! : { kind, terms };
  }

  private negation(depth: number): Filter {
    if (depth > depthMax) throw filterError(this.peek().at, `at most ${depthMax} levels are taken`);
    if (this.takeKeyword('NOT')) return { kind: 'not', term: this.negation(depth + 1) };
    if (this.peek().kind !== 'open') return this.comparison();
    const { at } = this.peek();
    this.index++;
    const inner = this.alternatives(depth + 1);
    if (this.peek().kind !== 'close') throw filterError(at, 'the parenthesis is not closed');
    this.index++;
    return inner;
  }

  private comparison(): Comparison {
    const field = this.peek();
    if (field.kind !== 'word') throw filterError(field.at, `expected a field, found ${describe(field)}`);
    if (++this.comparisons > comparisonsMax) {
      throw filterError(field.at, `at most ${comparisonsMax} comparisons are taken`);
    }
    this.index++;
    const operator = this.peek();
    if (operator.kind !== 'operator') {
      throw filterError(operator.at, `expected =, !=, <, <=, >, >= or :, found ${describe(operator)}`);
    }
    this.index++;
    const value = this.peek();
    if (value.kind !== 'word' && value.kind !== 'text') {
      throw filterError(value.at, `expected a value, found ${describe(value)}`);
    }
    this.index++;
    const { text, at } = field;
    return { kind: 'compare', field: text, operator: operator.text, value: value.text, at, valueAt: value.at };
  }

  private takeKeyword(keyword: string): boolean {
    if (this.peek().kind !== 'word' || this.peek().text !== keyword) return false;
    this.index++;
    return true;
  }
}

function describe(token: Token): string {
  return token.kind === 'end' ? 'the end' : shown(token.text);
}
