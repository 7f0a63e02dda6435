import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBasicSpec } from './parse-basic.ts';
import { isParserName, parseSpecWith } from './parse-with.ts';
import { parseSpec } from './parser.ts';
import { printSpec } from './print.ts';
import { SignatureError } from './signature-error.ts';

describe('the basic parser', () => {
  it.each([
    ['question -> answer', 'question: str -> answer: str'],
    ['a: int, b: float, c: bool -> d: Any', 'a: int, b: float, c: bool -> d: Any'],
    ['a: list[str] -> b: dict[str, float], c: list', 'a: list[str] -> b: dict[str, float], c: list'],
    ['a: string -> b: number', 'a: str -> b: float'],
  ])('reads %j', (spec, canonical) => {
    expect(printSpec(parseBasicSpec(spec))).toBe(canonical);
    expect(parseBasicSpec(spec)).toEqual(parseSpec(spec));
  });

  it.each([
    '',
    '->',
    'a ->',
    '-> b',
    'a, -> b',
    'a -> b -> c',
    'a: int(ge=1) -> b',
    "a: str = 'x' -> b",
    "a 'told' -> b",
    'a: str | None -> b',
    'a: Optional[str] -> b',
    'a: list[list[str]] -> b',
    "a: Literal['x'] -> b",
    'a: tuple[int, int] -> b',
    'a: probability -> b',
    'a, a -> b',
    'class -> b',
    'a: os.system -> b',
    'signature a -> b',
    `${'a'.repeat(9000)} -> b`,
  ])('refuses %j with its place', (spec) => {
    expect(() => parseBasicSpec(spec)).toThrow(SignatureError);
  });

  it('never reads what the enhanced parser refuses or reads otherwise', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      'c1',
      'list',
      '[',
      ']',
      ':',
      ',',
      '->',
      'str',
      'int',
      'dict',
      ' ',
      '|',
      '(',
      ')',
      '=',
      "'x'",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 16 }), (pieces) => {
        const spec = pieces.join('');
        let basic: unknown;
        try {
          basic = parseBasicSpec(spec);
        } catch (error) {
          expect(error).toBeInstanceOf(SignatureError);
          return;
        }
        expect(basic).toEqual(parseSpec(spec));
      }),
      { numRuns: 500 },
    );
  });

  it('is chosen by its name', () => {
    expect([isParserName('basic'), isParserName('enhanced'), isParserName('Basic')]).toEqual([true, true, false]);
    expect(() => parseSpecWith('basic', 'a: int(ge=1) -> b')).toThrow(SignatureError);
    expect(() => parseSpecWith('enhanced', 'a: int(ge=1) -> b')).not.toThrow();
  });
});
