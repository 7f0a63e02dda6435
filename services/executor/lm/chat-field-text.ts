import type { FieldText } from './field-text.ts';
import type { LmText } from './language-model.ts';
import { isPythonLineEnd, isPythonSpace, isPythonWord } from './python-text.ts';

const opening = '[[ ## ';
const closing = ' ## ]]';

/**
 * Finds field text in a reply of DSPy's ChatAdapter. A line whose stripped text begins with `[[ ## name ## ]]` is a header;
 * the text up to the next one, stripped, is the field's value; the first section of a name wins. So a line's beginning is
 * held back while it could still become a header, and white space until something follows it.
 */
export class ChatFieldText implements FieldText {
  readonly #names: ReadonlySet<string>;
  readonly #show: (text: LmText) => void;
  readonly #seen = new Set<string>();
  // The field whose section is open, if its text is to be shown.
  #field = '';
  #started = false;
  #space = '';
  #fresh = '';
  // The line so far while it may become a header; undefined once it cannot.
  #line: string | undefined = '';
  #indent = 0;
  #matched = 0;
  #name = '';
  #onHeaderLine = false;
  #afterReturn = false;
  #half = '';

  constructor(names: ReadonlySet<string>, show: (text: LmText) => void) {
    this.#names = names;
    this.#show = show;
  }

  push(piece: string): void {
    const text = this.#half + piece;
    // Half a surrogate pair waits for the other half: it can be neither matched nor shown.
    const last = text.charCodeAt(text.length - 1);
    const cut = last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
    this.#half = text.slice(cut);
    this.#scan(text, cut);
    this.#flush();
  }

  end(): void {
    if (this.#half !== '') this.#scan(this.#half, 1);
    this.#half = '';
    if (this.#line !== undefined) this.#giveUpHeader('');
    this.#flush();
  }

  #scan(text: string, to: number): void {
    let at = 0;
    if (this.#afterReturn && to > 0) {
      this.#afterReturn = false;
      if (text.charCodeAt(0) === 0x0a) at = 1;
    }
    while (at < to) {
      if (this.#line !== undefined && !isPythonLineEnd(text.charCodeAt(at))) {
        const point = text.codePointAt(at)!;
        const size = point > 0xffff ? 2 : 1;
        this.#tryHeader(point, text.slice(at, at + size));
        at += size;
        continue;
      }
      let end = at;
      while (end < to && !isPythonLineEnd(text.charCodeAt(end))) end += 1;
      this.#add(text.slice(at, end));
      if (end === to) return;
      at = end + 1;
      if (text.charCodeAt(end) === 0x0d) {
        if (at === to) this.#afterReturn = true;
        else if (text.charCodeAt(at) === 0x0a) at += 1;
      }
      this.#endLine();
    }
  }

  #tryHeader(point: number, char: string): void {
    if (this.#matched === 0 && isPythonSpace(point)) {
      this.#indent += 1;
    } else if (this.#matched < opening.length) {
      if (char !== opening[this.#matched]) {
        this.#giveUpHeader(char);
        return;
      }
      this.#matched += 1;
    } else if (this.#matched === opening.length && isPythonWord(point)) {
      this.#name += char;
    } else {
      if (this.#name === '' || char !== closing[this.#matched - opening.length]) {
        this.#giveUpHeader(char);
        return;
      }
      this.#matched += 1;
    }
    this.#line += char;
    if (this.#matched === opening.length + closing.length) this.#openSection();
  }

  #giveUpHeader(char: string): void {
    const text = this.#line + char;
    this.#line = undefined;
    this.#add(text);
  }

  #openSection(): void {
    this.#flush();
    const { indent, line } = { indent: this.#indent, line: this.#line! };
    this.#field = this.#names.has(this.#name) && !this.#seen.has(this.#name) ? this.#name : '';
    this.#seen.add(this.#name);
    this.#started = false;
    this.#space = '';
    this.#line = undefined;
    this.#onHeaderLine = true;
    // DSPy 3.4 measures the header on the stripped line and cuts the unstripped one: an indented header leaks its end.
    if (indent > 0) this.#add([...line].slice(-indent).join(''));
  }

  #endLine(): void {
    if (this.#line !== undefined) this.#giveUpHeader('');
    // What follows a header on its own line is stripped by itself.
    if (this.#onHeaderLine) this.#space = '';
    this.#onHeaderLine = false;
    if (this.#started) this.#space += '\n';
    this.#line = '';
    this.#indent = 0;
    this.#matched = 0;
    this.#name = '';
  }

  #add(text: string): void {
    if (this.#field === '' || text === '') return;
    let from = 0;
    if (!this.#started) while (from < text.length && isPythonSpace(text.charCodeAt(from))) from += 1;
    if (from === text.length) return;
    this.#started = true;
    let to = text.length;
    while (to > from && isPythonSpace(text.charCodeAt(to - 1))) to -= 1;
    if (to === from) {
      this.#space += text.slice(from);
      return;
    }
    this.#fresh += this.#space + text.slice(from, to);
    this.#space = text.slice(to);
  }

  #flush(): void {
    if (this.#fresh === '') return;
    this.#show({ field: this.#field, text: this.#fresh });
    this.#fresh = '';
  }
}
