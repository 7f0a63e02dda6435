import { isStorableText } from './json.ts';
import { limits } from './limits.ts';
import { type Position, SignatureError } from './signature-error.ts';

/** A piece of a spec. `text` is the meaning: a name in NFKC, a string without quotes and escapes, a number as written, a mark. */
export interface Token {
  readonly kind: 'name' | 'string' | 'number' | 'mark' | 'end';
  readonly text: string;
  /** Where it begins, in UTF-16 units. */
  readonly at: number;
}

const space = /\s*/uy;
const name = /[\p{XID_Start}_]\p{XID_Continue}*(?:\.[\p{XID_Start}_]\p{XID_Continue}*)*/uy;
const number = /-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const mark = /->|\.\.\.|[:,=()[\]{}|]/y;
const plainText = /[^'"\\\p{Cc}]+/uy;
const escapeForm = /\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([nrtbf\\'"/]))/y;
const escapeMeanings: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

/** Cuts a spec into tokens, the last one of kind `end`. Throws SignatureError for text beyond 8 KiB and for what is no token. */
export function tokenize(text: string): Token[] {
  // One UTF-16 unit is at most three bytes, so only texts near the limit need counting.
  if (text.length * 3 > limits.specBytesMax && utf8Length(text) > limits.specBytesMax) {
    throw new SignatureError('SIGNATURE_SYNTAX', `the text is longer than ${limits.specBytesMax} bytes`);
  }
  if (!isStorableText(text)) {
    const at = [...text].findIndex((character) => !isStorableText(character));
    throw new SignatureError(
      'SIGNATURE_SYNTAX',
      'the text holds a NUL or half a surrogate pair',
      positionOf(text, [...text].slice(0, at).join('').length),
    );
  }
  const tokens: Token[] = [];
  let at = take(space, text, 0).length;
  while (at < text.length) {
    const quote = text[at];
    if (quote === "'" || quote === '"') {
      const end = readString(text, at, tokens);
      at = end + take(space, text, end).length;
      continue;
    }
    const token = readToken(text, at);
    tokens.push(token.token);
    at = token.end + take(space, text, token.end).length;
  }
  tokens.push({ kind: 'end', text: '', at: text.length });
  return tokens;
}

/** The line and column of an offset; a line ends with a line feed. */
export function positionOf(text: string, at: number): Position {
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: [...before.slice(lineStart)].length + 1 };
}

/** The number of bytes that a well-formed text takes in UTF-8. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Each half of a pair counts two bytes of its four.
    if (code >= 0x80) length += code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return length;
}

function readToken(text: string, at: number): { token: Token; end: number } {
  const first = text.charCodeAt(at);
  const second = text.charCodeAt(at + 1);
  if (isDigit(first) || (first === 45 && isDigit(second))) {
    const digits = take(number, text, at);
    checkNumber(text, digits, at);
    return { token: { kind: 'number', text: digits, at }, end: at + digits.length };
  }
  const sign = take(mark, text, at);
  if (sign) return { token: { kind: 'mark', text: sign, at }, end: at + sign.length };
  const word = take(name, text, at);
  if (word) return { token: { kind: 'name', text: word.normalize('NFKC'), at }, end: at + word.length };
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
  throw fail(text, at, `unexpected character ${JSON.stringify(character)}`);
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function checkNumber(text: string, digits: string, at: number): void {
  const follows = take(name, text, at + digits.length);
  if (follows)
    throw fail(text, at, `a name must not begin with a digit, and a number must not run into \`${follows[0]}\``);
  if (/^-?0[0-9]/.test(digits)) throw fail(text, at, 'a number must not begin with 0');
  if (/^-?[0-9]+$/.test(digits)) {
    if (digits.length > limits.integerDigitsMax) {
      throw fail(text, at, `an integer has at most ${limits.integerDigitsMax} digits`);
    }
  } else if (!Number.isFinite(Number(digits))) {
    throw fail(text, at, 'the number is beyond the range of a double');
  }
}

function readString(text: string, start: number, tokens: Token[]): number {
  const quote = text[start]!;
  let made = '';
  let at = start + 1;
  for (;;) {
    const character = text[at];
    if (character === undefined || character === '\n' || character === '\r') {
      throw fail(text, start, `the string is not closed by ${quote}`);
    }
    if (character === quote) break;
    if (character === '\\') {
      escapeForm.lastIndex = at;
      const found = escapeForm.exec(text);
      if (!found) throw fail(text, at, 'unknown escape in a string; write `\\\\` for a backslash');
      const code = found[1] ?? found[2];
      made += code ? String.fromCharCode(Number.parseInt(code, 16)) : (escapeMeanings[found[3]!] ?? found[3]);
      at += found[0].length;
    } else {
      const piece = take(plainText, text, at) || character;
      made += piece;
      at += piece.length;
    }
  }
  if (!isStorableText(made)) throw fail(text, start, 'the string holds a NUL or half a surrogate pair');
  tokens.push({ kind: 'string', text: made, at: start });
  return at + 1;
}

function take(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.test(text) ? text.slice(at, pattern.lastIndex) : '';
}

function fail(text: string, at: number, problem: string): SignatureError {
  return new SignatureError('SIGNATURE_SYNTAX', problem, positionOf(text, at));
}
