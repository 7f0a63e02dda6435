import type { ParseOptions } from './cursor.ts';
import { parseBasicSpec } from './parse-basic.ts';
import { parseSpec } from './parser.ts';
import type { SignatureSpec } from './types.ts';

/** The parsers of specifications: `enhanced` reads all of the language, `basic` names and plain types alone. */
export const parserNames = ['enhanced', 'basic'] as const;

/** The name of a parser. */
export type ParserName = (typeof parserNames)[number];

/** True for the name of a parser. */
export function isParserName(text: string): text is ParserName {
  return (parserNames as readonly string[]).includes(text);
}

/** Parses a specification by the parser of a name. Throws SignatureError with line and column. */
export function parseSpecWith(parser: ParserName, text: string, options: ParseOptions = {}): SignatureSpec {
  return parser === 'basic' ? parseBasicSpec(text) : parseSpec(text, options);
}
