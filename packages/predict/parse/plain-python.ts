import { readJsonAt } from '../python/read-json.ts';
import { isDict, isList, type PythonValue } from '../python/value.ts';

const LENGTH_MAX = 4_000;
const DEPTH_MAX = 4;
const WORD = /(?:True|true|False|false|None|null)(?![\p{L}\p{N}_])/uy;
const TEXT = /(['"])([\p{L}0-9_.-](?:[\p{L}0-9_. -]*[\p{L}0-9_.-])?)\1/uy;
const NUMBER = /-?[0-9]/y;
const BREAK = /\n *(?! )/y;
const WORDS: Readonly<Record<string, boolean | null>> = {
  True: true,
  true: true,
  False: false,
  false: false,
  None: null,
  null: null,
};

/**
 * Reads a list or a dict as Python prints it, if everything in it is plain: words, numbers, and texts of letters, digits,
 * blanks, dots, dashes and underscores. json_repair's heuristics, which look for lost quotes and commas, find nothing there.
 */
export function readPlainPython(text: string): PythonValue | undefined {
  if (text.length > LENGTH_MAX) return undefined;
  const reader = new Reader(text);
  const value = reader.container(1);
  return reader.at === text.length ? value : undefined;
}

class Reader {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  container(depth: number): PythonValue | undefined {
    if (depth > DEPTH_MAX) return undefined;
    if (this.#takes('[')) return this.#list(depth);
    return this.#takes('{') ? this.#dict(depth) : undefined;
  }

  #list(depth: number): PythonValue | undefined {
    const items: PythonValue[] = [];
    if (this.#takes(']')) return items;
    this.#breaks();
    for (;;) {
      const item = this.#item(depth);
      if (item === undefined) return undefined;
      items.push(item);
      // An empty container that a line's end follows is dropped.
      if (this.#breaks() && isEmpty(item)) return undefined;
      if (this.#takes(']')) return items;
      if (!this.#takes(', ') && !this.#takes(',')) return undefined;
      this.#breaks();
      // A last comma is one too many, and means nothing.
      if (this.#takes(']')) return items;
    }
  }

  #dict(depth: number): PythonValue | undefined {
    const members = new Map<string, PythonValue>();
    if (this.#takes('}')) return members;
    this.#breaks();
    for (;;) {
      const key = this.#match(TEXT)?.[2];
      if (key === undefined || members.has(key) || !this.#takes(': ')) return undefined;
      const member = this.#item(depth);
      if (member === undefined) return undefined;
      members.set(key, member);
      if (this.#breaks() && isEmpty(member)) return undefined;
      if (this.#takes('}')) return members;
      if (!this.#takes(', ') && !this.#takes(',')) return undefined;
      this.#breaks();
      if (this.#takes('}')) return members;
    }
  }

  #item(depth: number): PythonValue | undefined {
    const word = this.#match(WORD)?.[0];
    if (word !== undefined) return WORDS[word];
    const text = this.#match(TEXT)?.[2];
    if (text !== undefined) return text;
    NUMBER.lastIndex = this.at;
    if (!NUMBER.test(this.#text)) return this.container(depth + 1);
    const read = readJsonAt(this.#text, this.at);
    if (typeof read === 'string') return undefined;
    this.at = read.end;
    return read.value;
  }

  // A line's end with what indents the next one.
  #breaks(): boolean {
    return this.#match(BREAK) !== undefined;
  }

  #match(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.at;
    const found = expression.exec(this.#text);
    if (found === null) return undefined;
    this.at += found[0].length;
    return found;
  }

  #takes(text: string): boolean {
    if (!this.#text.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }
}

function isEmpty(value: PythonValue): boolean {
  return (isList(value) && value.length === 0) || (isDict(value) && value.size === 0);
}
