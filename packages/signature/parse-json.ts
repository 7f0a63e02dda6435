import { JsonError, type JsonErrorReason, JsonNumber, type JsonObject, type JsonValue } from './json.ts';
import { limits } from './limits.ts';

/** The bounds of one parse. */
export interface JsonLimits {
  /** Levels of lists and objects; 32 unless said. */
  readonly depthMax?: number;
}

/**
 * Parses strict JSON (RFC 8259) without losing anything. Throws JsonError, with the place, for other text, deeper nesting,
 * a key twice in one object, NaN and infinities in any spelling (`1e999` too) and integers of more than 4,300 digits.
 */
export function parseJson(text: string, bounds: JsonLimits = {}): JsonValue {
  const reader = new Reader(text, bounds.depthMax ?? limits.jsonDepthMax);
  const value = reader.value();
  reader.skipSpace();
  if (reader.at < text.length) reader.fail('JSON_SYNTAX', `unexpected ${reader.shown()} after the end of the value`);
  return value;
}

const QUOTE = 34;
const BACKSLASH = 92;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;

// Small integers are common and never change, so one object serves all.
const smallIntegers = Array.from({ length: 100 }, (_, value) => new JsonNumber(String(value)));

const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

class Reader {
  readonly text: string;
  at = 0;
  private depthLeft: number;

  constructor(text: string, depthMax: number) {
    this.text = text;
    this.depthLeft = depthMax;
  }

  value(): JsonValue {
    this.skipSpace();
    const code = this.text.charCodeAt(this.at);
    if (code === QUOTE) return this.string();
    if (code === 123) return this.object();
    if (code === 91) return this.array();
    if (code === MINUS || (code >= ZERO && code <= NINE)) return this.number();
    if (code === 116) return this.word('true', true);
    if (code === 102) return this.word('false', false);
    if (code === 110) return this.word('null', null);
    return this.fail('JSON_SYNTAX', `expected a value, found ${this.shown()}`);
  }

  skipSpace(): void {
    const { text } = this;
    let code = text.charCodeAt(this.at);
    while (code === 32 || code === 10 || code === 13 || code === 9) code = text.charCodeAt(++this.at);
  }

  private object(): JsonObject {
    this.descend();
    const object = new Map<string, JsonValue>();
    this.skipSpace();
    if (this.text.charCodeAt(this.at) === 125) return this.ascend(object);
    for (let size = 1; ; size++) {
      this.skipSpace();
      const start = this.at;
      if (this.text.charCodeAt(start) !== QUOTE) {
        this.fail('JSON_SYNTAX', `expected a key in double quotes, found ${this.shown()}`);
      }
      const key = this.string();
      this.skipSpace();
      if (this.text.charCodeAt(this.at) !== 58) this.fail('JSON_SYNTAX', `expected \`:\`, found ${this.shown()}`);
      this.at++;
      object.set(key, this.value());
      if (object.size !== size) {
        this.at = start;
        this.fail('JSON_DUPLICATE_KEY', `the key ${JSON.stringify(key.slice(0, 64))} stands twice in one object`);
      }
      this.skipSpace();
      const code = this.text.charCodeAt(this.at);
      if (code === 125) return this.ascend(object);
      if (code !== 44) this.fail('JSON_SYNTAX', `expected \`,\` or \`}\`, found ${this.shown()}`);
      this.at++;
    }
  }

  private array(): JsonValue {
    this.descend();
    const items: JsonValue[] = [];
    this.skipSpace();
    if (this.text.charCodeAt(this.at) === 93) return this.ascend(items);
    for (;;) {
      items.push(this.value());
      this.skipSpace();
      const code = this.text.charCodeAt(this.at);
      if (code === 93) return this.ascend(items);
      if (code !== 44) this.fail('JSON_SYNTAX', `expected \`,\` or \`]\`, found ${this.shown()}`);
      this.at++;
    }
  }

  private descend(): void {
    if (this.depthLeft-- <= 0) this.fail('JSON_TOO_DEEP', 'lists and objects are nested too deeply');
    this.at++;
  }

  private ascend<T>(value: T): T {
    this.depthLeft++;
    this.at++;
    return value;
  }

  private string(): string {
    const { text } = this;
    const start = ++this.at;
    let at = start;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        this.at = at + 1;
        return text.slice(start, at);
      }
      if (code === BACKSLASH) return this.escapedString(start, at);
      if (!(code >= 32)) this.failInString(at);
      at++;
    }
  }

  private escapedString(start: number, firstEscape: number): string {
    const { text } = this;
    let made = text.slice(start, firstEscape);
    let at = firstEscape;
    for (;;) {
      this.at = at;
      made += this.escape();
      const from = this.at;
      at = from;
      let code = text.charCodeAt(at);
      while (code >= 32 && code !== QUOTE && code !== BACKSLASH) code = text.charCodeAt(++at);
      made += text.slice(from, at);
      if (code === QUOTE) {
        this.at = at + 1;
        return made;
      }
      if (code !== BACKSLASH) this.failInString(at);
    }
  }

  private escape(): string {
    const letter = this.text[this.at + 1] ?? '';
    if (letter === 'u') {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail('JSON_SYNTAX', '`\\u` needs four hexadecimal digits');
      this.at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const meaning = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined;
    if (meaning === undefined) this.fail('JSON_SYNTAX', 'unknown escape in a string');
    this.at += 2;
    return meaning!;
  }

  private failInString(at: number): never {
    this.at = at;
    if (at >= this.text.length) return this.fail('JSON_SYNTAX', 'the text ends inside a string');
    return this.fail('JSON_SYNTAX', 'control characters in a string must be escaped');
  }

  private number(): JsonNumber {
    const { text } = this;
    const start = this.at;
    let at = start;
    if (text.charCodeAt(at) === MINUS) at++;
    const whole = at;
    at = this.digits(at);
    if (at - whole > 1 && text.charCodeAt(whole) === ZERO) this.fail('JSON_SYNTAX', 'a number must not begin with 0');
    const code = text.charCodeAt(at);
    if (code !== 46 && code !== 101 && code !== 69) {
      this.at = at;
      const length = at - start;
      if (length <= 2 && whole === start) return smallIntegers[Number(text.slice(start, at))]!;
      if (at - whole > limits.integerDigitsMax) {
        this.at = start;
        this.fail('JSON_NUMBER', `an integer has more than ${limits.integerDigitsMax} digits`);
      }
      return new JsonNumber(text.slice(start, at));
    }
    if (code === 46) at = this.digits(at + 1);
    const exponent = text.charCodeAt(at);
    const hasExponent = exponent === 101 || exponent === 69;
    if (hasExponent) {
      const sign = text.charCodeAt(at + 1);
      at = this.digits(sign === 43 || sign === MINUS ? at + 2 : at + 1);
    }
    const written = text.slice(start, at);
    if ((hasExponent || written.length > 300) && !Number.isFinite(Number(written))) {
      this.fail('JSON_NUMBER', 'the number is beyond the range of a double');
    }
    this.at = at;
    return new JsonNumber(written);
  }

  private digits(from: number): number {
    let at = from;
    let code = this.text.charCodeAt(at);
    while (code >= ZERO && code <= NINE) code = this.text.charCodeAt(++at);
    if (at === from) {
      this.at = at;
      this.fail('JSON_SYNTAX', `expected a digit, found ${this.shown()}`);
    }
    return at;
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail('JSON_SYNTAX', `expected a value, found ${this.shown()}`);
    this.at += word.length;
    return value;
  }

  shown(): string {
    const point = this.text.codePointAt(this.at);
    return point === undefined ? 'the end of the text' : JSON.stringify(String.fromCodePoint(point));
  }

  fail(reason: JsonErrorReason, problem: string): never {
    const before = this.text.slice(0, this.at);
    const lineStart = before.lastIndexOf('\n') + 1;
    let line = 1;
    for (let found = before.indexOf('\n'); found >= 0; found = before.indexOf('\n', found + 1)) line++;
    throw new JsonError(reason, problem, { line, column: before.length - lineStart + 1 });
  }
}
