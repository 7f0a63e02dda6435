import { JsonNumber } from '@signet/signature/json.ts';
import { DoubtError } from './json-text.ts';
import { numberText } from './number.ts';
import { isDict, isList, type PythonValue } from './value.ts';

const DEPTH_MAX = 100;

/** What Python's `str` makes of a value. Throws DoubtError where the Unicode tables of Python versions decide. */
export function pythonText(value: PythonValue): string {
  return typeof value === 'string' ? value : pythonRepr(value);
}

/** What Python's `repr` makes of a value. Throws DoubtError where the Unicode tables of Python versions decide, and for sets and deep nesting. */
export function pythonRepr(value: PythonValue, depth = 0): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return textRepr(value);
  if (value instanceof JsonNumber) return numberText(value);
  if (depth >= DEPTH_MAX) throw new DoubtError('a value nests too deeply');
  if (isList(value)) return `[${value.map((item) => pythonRepr(item, depth + 1)).join(', ')}]`;
  if (isDict(value)) {
    const members = [...value].map(([key, member]) => `${textRepr(key)}: ${pythonRepr(member, depth + 1)}`);
    return `{${members.join(', ')}}`;
  }
  throw new DoubtError('the text of a value that no reply holds');
}

const PLAIN = /^[ !#-&(-[\]-~]*$/;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

function textRepr(text: string): string {
  if (PLAIN.test(text)) return `'${text}'`;
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let made = quote;
  for (const character of text) {
    if (character === quote) made += `\\${character}`;
    else made += NAMED[character] ?? characterRepr(character);
  }
  return made + quote;
}

function characterRepr(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  if (point < 0x7f && point >= 0x20) return character;
  if (isPrintable(character, point)) return character;
  if (point <= 0xff) return `\\x${point.toString(16).padStart(2, '0')}`;
  if (point <= 0xffff) return `\\u${point.toString(16).padStart(4, '0')}`;
  return `\\U${point.toString(16).padStart(8, '0')}`;
}

const NOT_PRINTABLE = /^[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]$/u;

// Blocks whose characters have not changed since Unicode 14, which Python 3.11 has.
const SETTLED: readonly (readonly [number, number])[] = [
  [0x0000, 0x086f],
  [0x0e00, 0x0e7f],
  [0x1e00, 0x206f],
  [0x20a0, 0x20bf],
  [0x2100, 0x2426],
  [0x2460, 0x2bff],
  [0x2e80, 0x2fdf],
  [0x3000, 0x31e3],
  [0x3200, 0xa4c6],
  [0xac00, 0xd7a3],
  [0xd800, 0xdfff],
  [0xe000, 0xf8ff],
  [0xfb00, 0xffff],
  [0x1d400, 0x1d7ff],
  [0x1f1e6, 0x1f64f],
  [0x1f680, 0x1f6c5],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x2a6df],
];

function isPrintable(character: string, point: number): boolean {
  if (!SETTLED.some(([first, last]) => point >= first && point <= last)) {
    throw new DoubtError('a character that Python versions may print differently');
  }
  return !NOT_PRINTABLE.test(character);
}
