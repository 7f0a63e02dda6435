import type { JsonNumber } from '@signet/signature/json.ts';
import { makeFloat, makeInt } from './number.ts';
import type { PythonValue } from './value.ts';

/** What Python's `json.loads` makes of a text: a value, `invalid` if it is no JSON, `doubtful` where Python's own bounds decide. */
export type JsonRead = { readonly value: PythonValue } | 'invalid' | 'doubtful';

const DEPTH_MAX = 200;
const INT_DIGITS_MAX = 4_300;
const INVALID = new Error('no JSON');
const DOUBTFUL = new Error('beyond the bounds');

/**
 * Reads JSON as Python does: RFC 8259 and NaN, Infinity, -Infinity; the last of equal keys wins, in the place of the first;
 * half surrogate pairs may be escaped. Linear in the text.
 */
export function readJson(text: string): JsonRead {
  const reader = new Reader(text);
  try {
    const value = reader.value(0);
    reader.skipSpace();
    return reader.at === text.length ? { value } : 'invalid';
  } catch (error) {
    if (error === INVALID) return 'invalid';
    if (error === DOUBTFUL) return 'doubtful';
    throw error;
  }
}

/** Reads one JSON value that begins at an offset and tells where it ends; `invalid` or `doubtful` as readJson. */
export function readJsonAt(
  text: string,
  at: number,
): { readonly value: PythonValue; readonly end: number } | 'invalid' | 'doubtful' {
  const reader = new Reader(text);
  reader.at = at;
  try {
    const value = reader.value(0);
    return { value, end: reader.at };
  } catch (error) {
    if (error === INVALID) return 'invalid';
    if (error === DOUBTFUL) return 'doubtful';
    throw error;
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
const POINT = 46;
const ZERO = 48;
const NINE = 57;
// They never change, so one object serves all: a list of a million of them is read without a regular expression, too.
const shortInts = Array.from({ length: 100 }, (_, value) => makeInt(String(value)));
const HEX4 = /^[0-9a-fA-F]{4}$/;

class Reader {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  value(depth: number): PythonValue {
    this.skipSpace();
    const { text } = this;
    switch (text.charCodeAt(this.at)) {
      case 34:
        return this.string();
      case 123:
        return this.object(depth + 1);
      case 91:
        return this.array(depth + 1);
      case 116:
        return this.word('true', true);
      case 102:
        return this.word('false', false);
      case 110:
        return this.word('null', null);
      case 78:
        return this.word('NaN', makeFloat(Number.NaN));
      case 73:
        return this.word('Infinity', makeFloat(Number.POSITIVE_INFINITY));
      default:
        return this.number();
    }
  }

  skipSpace(): void {
    const { text } = this;
    let code = text.charCodeAt(this.at);
    while (code === 32 || code === 10 || code === 13 || code === 9) code = text.charCodeAt(++this.at);
  }

  private object(depth: number): PythonValue {
    if (depth > DEPTH_MAX) throw DOUBTFUL;
    const object = new Map<string, PythonValue>();
    this.at++;
    this.skipSpace();
    if (this.takes(125)) return object;
    for (;;) {
      this.skipSpace();
      if (this.text.charCodeAt(this.at) !== 34) throw INVALID;
      const key = this.string();
      this.skipSpace();
      if (!this.takes(58)) throw INVALID;
      object.set(key, this.value(depth));
      this.skipSpace();
      if (this.takes(125)) return object;
      if (!this.takes(44)) throw INVALID;
    }
  }

  private array(depth: number): PythonValue {
    if (depth > DEPTH_MAX) throw DOUBTFUL;
    const items: PythonValue[] = [];
    this.at++;
    this.skipSpace();
    if (this.takes(93)) return items;
    for (;;) {
      items.push(this.value(depth));
      this.skipSpace();
      if (this.takes(93)) return items;
      if (!this.takes(44)) throw INVALID;
    }
  }

  private takes(code: number): boolean {
    if (this.text.charCodeAt(this.at) !== code) return false;
    this.at++;
    return true;
  }

  private string(): string {
    const { text } = this;
    let from = ++this.at;
    let at = from;
    let made = '';
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === 34) {
        this.at = at + 1;
        return made + text.slice(from, at);
      }
      if (code === 92) {
        made += text.slice(from, at);
        this.at = at;
        made += this.escape();
        from = this.at;
        at = from;
      } else if (code >= 32) {
        at++;
      } else {
        throw INVALID;
      }
    }
  }

  private escape(): string {
    const letter = this.text.charAt(this.at + 1);
    if (letter !== 'u') {
      const meaning = ESCAPES[letter];
      if (meaning === undefined) throw INVALID;
      this.at += 2;
      return meaning;
    }
    const digits = this.text.slice(this.at + 2, this.at + 6);
    if (!HEX4.test(digits)) throw INVALID;
    this.at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  /** An int of one or two digits, the most frequent number; undefined where it is another. */
  private shortInt(): JsonNumber | undefined {
    const { text, at } = this;
    const first = text.charCodeAt(at) - ZERO;
    if (!(first >= 0 && first <= 9)) return undefined;
    let end = at + 1;
    let value = first;
    const second = text.charCodeAt(end) - ZERO;
    if (first > 0 && second >= 0 && second <= 9) {
      value = first * 10 + second;
      end++;
    }
    const next = text.charCodeAt(end);
    // The end of the text is NaN, which is none of these.
    if (next === POINT || next === 69 || next === 101 || (next >= ZERO && next <= NINE)) return undefined;
    this.at = end;
    return shortInts[value];
  }

  private number(): JsonNumber {
    const short = this.shortInt();
    if (short !== undefined) return short;
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (found === null) return this.word('-Infinity', makeFloat(Number.NEGATIVE_INFINITY));
    const [written, fraction, exponent] = found;
    this.at += written.length;
    if (fraction !== undefined || exponent !== undefined) return makeFloat(Number(written));
    if (written.length > INT_DIGITS_MAX) throw DOUBTFUL;
    return makeInt(written);
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) throw INVALID;
    this.at += word.length;
    return value;
  }
}
