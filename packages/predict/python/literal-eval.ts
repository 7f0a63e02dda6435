import { makeFloat, makeInt } from './number.ts';
import type { PythonValue } from './value.ts';

/** What Python's `ast.literal_eval` makes of a text: a value, `invalid` if it raises ValueError or SyntaxError, or not known. */
export type LiteralRead = { readonly value: PythonValue } | 'invalid' | 'doubtful';

const WORDS: ReadonlyMap<string, PythonValue> = new Map<string, PythonValue>([
  ['True', true],
  ['False', false],
  ['None', null],
]);
const STRING_PREFIXES: ReadonlySet<string> = new Set(['b', 'r', 'u', 'f', 'br', 'rb', 'fr', 'rf', 't', 'rt', 'tr']);
const LENGTH_MAX = 2_000;
const QUOTED = /^(['"])((?:(?!\1)[^\\\n\r\p{Cc}\p{Cs}])*)\1$/u;
const DECIMAL = /^[+-]?(?:0+(?:_?0)*|[1-9](?:_?[0-9])*)$/;
const HEX = /^([+-]?)0[xX]((?:_?[0-9a-fA-F])+)$/;
const FLOAT = /^[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?$/;

/** Evaluates a Python literal that is a word, a number or a plain text; knows of prose that it is none. Linear in the text. */
export function literalEval(text: string): LiteralRead {
  if (text.length > LENGTH_MAX) return 'doubtful';
  const bare = text.replace(/^[ \t]+/, '').replace(/[ \t\r\n]+$/, '');
  const word = WORDS.get(bare);
  if (word !== undefined) return { value: word };
  const quoted = QUOTED.exec(bare);
  if (quoted) return { value: quoted[2] ?? '' };
  const number = numberOf(bare);
  if (number !== undefined) return { value: number };
  return isNoLiteral(bare) ? 'invalid' : 'doubtful';
}

function numberOf(text: string): PythonValue | undefined {
  if (DECIMAL.test(text)) return makeInt(String(BigInt(text.replaceAll('_', '').replace(/^\+/, ''))));
  if (FLOAT.test(text)) return makeFloat(Number(text));
  const hex = HEX.exec(text);
  if (!hex) return undefined;
  const size = BigInt(`0x${(hex[2] ?? '').replaceAll('_', '')}`);
  return makeInt(String(hex[1] === '-' ? -size : size));
}

// Outside of quotes and comments a literal has no names, no other operators than signs and commas, and no character beyond ASCII.
function isNoLiteral(text: string): boolean {
  if (text === '') return true;
  const end = text.search(/['"#]/);
  const plain = end < 0 ? text : text.slice(0, end);
  if (/[^\t\n\f\r -~]|[$?!%*&|^~<>=@;:`\])}]|\\[^\r\n]|\\$/.test(plain)) return true;
  if (end >= 0 && text[end] === '#' && /^[ \t]*$/.test(plain)) return !/[\r\n]/.test(text);
  const attached = end >= 0 && text[end] !== '#';
  for (const found of plain.matchAll(/(?<![0-9A-Za-z_])[A-Za-z_][0-9A-Za-z_]*/g)) {
    if (WORDS.has(found[0])) continue;
    const isPrefix = attached && found.index + found[0].length === plain.length;
    if (!isPrefix || !STRING_PREFIXES.has(found[0].toLowerCase())) return true;
  }
  return false;
}
