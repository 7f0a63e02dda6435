import { positionOf, type Token, tokenize } from './lexer.ts';
import { SignatureError, type SignatureErrorReason } from './signature-error.ts';
import { type MlTypeName, mlTypeNames } from './types.ts';

/** What a reader may be told. */
export interface ParseOptions {
  /** The ML types that are turned on; all unless said. */
  readonly mlTypes?: readonly MlTypeName[];
}

/** A place among the tokens of one text, moving forward while it is read. */
export class Cursor {
  readonly text: string;
  readonly mlTypes: ReadonlySet<string>;
  private readonly tokens: Token[];
  private index = 0;

  constructor(text: string, options: ParseOptions) {
    this.text = text;
    this.mlTypes = new Set<string>(options.mlTypes ?? mlTypeNames);
    this.tokens = tokenize(text);
  }

  /** The token that comes next. */
  get next(): Token {
    return this.tokens[this.index]!;
  }

  /** The token after the next one. */
  get afterNext(): Token {
    return this.tokens[Math.min(this.index + 1, this.tokens.length - 1)]!;
  }

  /** Takes the next token. */
  take(): Token {
    const token = this.next;
    if (token.kind !== 'end') this.index++;
    return token;
  }

  /** True if the mark comes next. */
  sees(mark: string): boolean {
    return this.next.kind === 'mark' && this.next.text === mark;
  }

  /** Takes the mark if it comes next. */
  accept(mark: string): boolean {
    if (!this.sees(mark)) return false;
    this.index++;
    return true;
  }

  /** Takes the mark or throws; `where` ends the sentence. */
  expect(mark: string, where: string): Token {
    if (!this.sees(mark)) throw this.syntax(`expected \`${mark}\` ${where}, found ${describeToken(this.next)}`);
    return this.take();
  }

  /** An error of form at a token, the next one unless said. */
  syntax(problem: string, token: Token = this.next): SignatureError {
    return this.error('SIGNATURE_SYNTAX', problem, token);
  }

  /** An error of meaning at a token. */
  type(problem: string, token: Token): SignatureError {
    return this.error('SIGNATURE_TYPE', problem, token);
  }

  private error(reason: SignatureErrorReason, problem: string, token: Token): SignatureError {
    return new SignatureError(reason, problem, positionOf(this.text, token.at));
  }
}

/** Names a token as messages say it, at most 40 characters of it. */
export function describeToken(token: Token): string {
  if (token.kind === 'end') return 'the end of the text';
  if (token.kind === 'string') return 'a string';
  return `\`${token.text.length > 40 ? `${token.text.slice(0, 40)}…` : token.text}\``;
}
