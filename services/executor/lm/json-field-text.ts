import type { FieldText } from './field-text.ts';
import type { LmText } from './language-model.ts';
import { isPythonSpace } from './python-text.ts';

type State =
  | 'before'
  | 'fence'
  | 'key'
  | 'colon'
  | 'value'
  | 'after'
  | 'string'
  | 'plain'
  | 'nested'
  | 'closed'
  | 'off';

const escapes: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/**
 * Finds field text in a reply of DSPy's JSONAdapter: string values of the outermost object, unescaped, as they grow. The
 * object may stand in a code fence. At the first departure from strict JSON it falls silent, as only a repair of the whole
 * reply can tell what the rest means; as a repair strips texts, white space is held back until something follows it or the
 * whole reply turns out to be strict. (Of two objects DSPy takes the last: the first has been shown by then.)
 */
export class JsonFieldText implements FieldText {
  readonly #names: ReadonlySet<string>;
  readonly #show: (text: LmText) => void;
  readonly #seen = new Set<string>();
  #state: State = 'before';
  #key = '';
  #inKey = false;
  #shown = false;
  #fresh = '';
  #escape = '';
  #held = '';
  #depth = 0;
  #inNestedString = false;
  #fenced = false;
  // White space at the end of texts that are over.
  readonly #spaces: LmText[] = [];

  constructor(names: ReadonlySet<string>, show: (text: LmText) => void) {
    this.#names = names;
    this.#show = show;
  }

  push(piece: string): void {
    for (let at = 0; at < piece.length && this.#state !== 'off'; at += 1) {
      if (this.#state === 'string' && this.#escape === '') {
        const end = plainEnd(piece, at);
        if (end > at) this.#grow(piece.slice(at, end));
        at = end;
        if (at >= piece.length) break;
      }
      this.#step(piece[at]!);
    }
    this.#flush();
  }

  end(): void {
    if (this.#state !== 'closed' || this.#fenced) return;
    for (const text of this.#spaces) this.#show(text);
  }

  #step(char: string): void {
    if (this.#state === 'string') {
      this.#inString(char);
      return;
    }
    if (this.#state === 'nested') {
      this.#inNested(char);
      return;
    }
    const space = char === ' ' || char === '\n' || char === '\r' || char === '\t';
    switch (this.#state) {
      case 'before':
        if (char === '{') this.#state = 'key';
        else if (char === '`') {
          this.#state = 'fence';
          this.#fenced = true;
        } else if (!space) this.#state = 'off';
        return;
      case 'fence':
        if (char === '{') this.#state = 'key';
        else if (!space && char !== '`' && !/[a-z]/i.test(char)) this.#state = 'off';
        return;
      case 'key':
        if (char === '"') this.#open(true);
        else if (!space) this.#state = 'off';
        return;
      case 'colon':
        if (char === ':') this.#state = 'value';
        else if (!space) this.#state = 'off';
        return;
      case 'value':
        if (char === '"') this.#open(false);
        else if (char === '{' || char === '[') {
          this.#state = 'nested';
          this.#depth = 1;
        } else if (!space) this.#state = /[-0-9tfn]/.test(char) ? 'plain' : 'off';
        return;
      case 'plain':
        if (char === ',') this.#state = 'key';
        else if (char === '}') this.#state = 'closed';
        else if (!/[\w.+\s-]/.test(char)) this.#state = 'off';
        return;
      case 'closed':
        if (!space) this.#state = 'off';
        return;
      default:
        if (char === ',') this.#state = 'key';
        else if (char === '}') this.#state = 'closed';
        else if (!space) this.#state = 'off';
    }
  }

  #open(isKey: boolean): void {
    this.#state = 'string';
    this.#inKey = isKey;
    if (isKey) this.#key = '';
    // A repeated key is shown once: which one counts is not known before the end.
    this.#shown = !isKey && this.#names.has(this.#key) && !this.#seen.has(this.#key);
    if (!isKey) this.#seen.add(this.#key);
  }

  #inString(char: string): void {
    if (this.#escape !== '') {
      this.#inEscape(char);
      return;
    }
    if (char === '\\') {
      this.#escape = char;
    } else if (char === '"') {
      this.#flush();
      if (this.#held !== '') this.#spaces.push({ field: this.#key, text: this.#held });
      this.#held = '';
      this.#shown = false;
      this.#state = this.#inKey ? 'colon' : 'after';
    } else {
      // A bare control character: strict JSON forbids it.
      this.#state = 'off';
    }
  }

  #inEscape(char: string): void {
    this.#escape += char;
    if (this.#escape.length === 2 && char !== 'u') {
      const plain = escapes[char];
      if (plain === undefined) this.#state = 'off';
      else this.#grow(plain);
      this.#escape = '';
    } else if (this.#escape.length > 2 && !/[0-9a-f]/i.test(char)) {
      this.#state = 'off';
    } else if (this.#escape.length === 6) {
      this.#grow(String.fromCharCode(Number.parseInt(this.#escape.slice(2), 16)));
      this.#escape = '';
    }
  }

  #inNested(char: string): void {
    if (this.#inNestedString) {
      if (this.#escape !== '') this.#escape = '';
      else if (char === '\\') this.#escape = char;
      else if (char === '"') this.#inNestedString = false;
    } else if (char === '"') this.#inNestedString = true;
    else if (char === '{' || char === '[') this.#depth += 1;
    else if (char === '}' || char === ']') {
      this.#depth -= 1;
      if (this.#depth === 0) this.#state = 'after';
    }
  }

  #grow(text: string): void {
    if (this.#inKey) this.#key += text;
    else if (this.#shown) this.#fresh += text;
  }

  #flush(): void {
    if (this.#fresh === '') return;
    const text = this.#held + this.#fresh;
    this.#fresh = '';
    // Half a surrogate pair waits for the other half, white space for what follows.
    let to = text.length;
    const last = text.charCodeAt(to - 1);
    if (last >= 0xd800 && last <= 0xdbff) to -= 1;
    while (to > 0 && isPythonSpace(text.charCodeAt(to - 1))) to -= 1;
    this.#held = text.slice(to);
    if (to > 0) this.#show({ field: this.#key, text: text.slice(0, to) });
  }
}

function plainEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22 || unit === 0x5c || unit < 0x20) return at;
    at += 1;
  }
  return at;
}
