import { JsonNumber } from '@signet/signature/json.ts';
import { describe, expect, it } from 'vitest';
import { DoubtError, jsonText } from './json-text.ts';
import { literalEval } from './literal-eval.ts';
import { canonicalNumber, floatText } from './number.ts';
import { readJson } from './read-json.ts';
import { pythonRepr } from './repr.ts';
import { splitLines, strip } from './text.ts';
import { PythonOpaque, PythonSet, type PythonValue } from './value.ts';
import { UnwritableError, writeOutputs } from './write-outputs.ts';

const number = (text: string): JsonNumber => new JsonNumber(text);

describe('numbers as Python writes them', () => {
  it.each([
    [1, '1.0'],
    [-0, '-0.0'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e15, '1000000000000000.0'],
    [9999999999999998, '9999999999999998.0'],
    [1e16, '1e+16'],
    [1e22, '1e+22'],
    [1.5e300, '1.5e+300'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [5e-324, '5e-324'],
    [Number.NaN, 'nan'],
    [Number.NEGATIVE_INFINITY, '-inf'],
  ])('writes %d as %s', (value, text) => {
    expect(floatText(value)).toBe(text);
  });

  it('keeps ints whole and floats apart, in any JSON spelling', () => {
    const spelled = ['-0', '1E5', '0.10', '1e400', '123456789012345678901234567890', '-1e400'];
    const canonical = ['0', '100000.0', '0.1', 'Infinity', '123456789012345678901234567890', '-Infinity'];
    expect(spelled.map((text) => canonicalNumber(number(text)).text)).toEqual(canonical);
  });
});

describe('text as Python cuts it', () => {
  it('strips separators and NEL, and leaves the byte order mark', () => {
    expect(strip('\u001c\u0085\u00a0\u3000x\u2028 ')).toBe('x');
    expect(strip('\ufeffx')).toBe('\ufeffx');
    expect(strip(' \n ')).toBe('');
  });

  it('ends lines where Python does and makes no empty last line', () => {
    expect(splitLines('a\r\nb\rc\u000bd\u001ee\u2028f\u0085g\n')).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    expect(splitLines('a\n\nb\u001f')).toEqual(['a', '', 'b\u001f']);
    expect(splitLines('')).toEqual([]);
  });
});

describe('JSON as Python reads and writes it', () => {
  it.each([
    ['[0,7,10,42,99,100]', ['0', '7', '10', '42', '99', '100']],
    ['[1.5,12.0,1e2,12E-1,99e0,0.0]', ['1.5', '12.0', '100.0', '1.2', '99.0', '0.0']],
    ['[ 5 , 12\n,-0,-7,-12]', ['5', '12', '0', '-7', '-12']],
  ])('keeps each number what it is: %s', (text, numbers) => {
    expect(readJson(text)).toEqual({ value: numbers.map(number) });
  });

  it.each(['01', '00', '012', '1.', '12.', '1e', '12e+', '.5', '1 2', '[1', '[12', '1]', '1a', '٣'])(
    'takes %j for no JSON',
    (text) => {
      expect(readJson(text)).toBe('invalid');
    },
  );

  it('takes NaN and infinities, the last of equal keys, and half a surrogate pair', () => {
    expect(readJson('{"a": NaN, "b": -Infinity, "a": "\\ud83d"}')).toEqual({
      value: new Map<string, PythonValue>([
        ['a', '\ud83d'],
        ['b', number('-Infinity')],
      ]),
    });
  });

  it.each(['', ' ', '01', '1.', '.5', '+1', "'a'", '[1,]', '{"a":1,}', '"a\tb"', '"\\x41"', 'nan', '[1] 2', '\ufeff1'])(
    'refuses %j',
    (text) => {
      expect(readJson(text)).toBe('invalid');
    },
  );

  it('does not answer for what Python bounds: depth and digits', () => {
    expect(readJson('['.repeat(5_000))).toBe('doubtful');
    expect(readJson('1'.repeat(5_000))).toBe('doubtful');
  });

  it('writes lists and objects with blanks, nulls for NaN, and refuses half a surrogate pair', () => {
    const value = new Map([['é"', [number('1.0'), number('1e16'), number('NaN'), null, true, 'a\u2028\u0007']]]);
    expect(jsonText(value)).toBe('{"é\\"": [1.0, 1e+16, null, null, true, "a\u2028\\u0007"]}');
    expect(() => jsonText(['\ud83d'])).toThrow(DoubtError);
  });
});

describe('repr and literals', () => {
  it('writes containers as Python does', () => {
    const value = new Map<string, PythonValue>([
      ['k', ["it's", 'say "x"', `both ' and "`, '\n\u00a0é\u200b', null, number('1.5')]],
    ]);
    expect(pythonRepr(value)).toBe(`{'k': ["it's", 'say "x"', 'both \\' and "', '\\n\\xa0é\\u200b', None, 1.5]}`);
  });

  it('does not answer for characters that are newer than Python', () => {
    expect(() => pythonRepr('\u{1fae8}')).toThrow(DoubtError);
  });

  it.each([
    ['True', true],
    ['  None ', null],
    ["'a b'", 'a b'],
    ['+7', number('7')],
    ['1_000', number('1000')],
    ['0x1F', number('31')],
    ['.5', number('0.5')],
    ['5.', number('5.0')],
  ])('reads %j', (text, value) => {
    expect(literalEval(text)).toEqual({ value });
  });

  it.each(['yes', 'the answer', '50%', '½', "don't", 'a, b', '--x', '`1`', '１', '# note', '3 apples'])(
    'knows that %j is no literal',
    (text) => {
      expect(literalEval(text)).toBe('invalid');
    },
  );

  it.each(['1, 2', "'a' 'b'", "b'x'", '1 # note', '007', '--1', 'x'.repeat(3_000)])('leaves %j to Python', (text) => {
    expect(literalEval(text)).toBe('doubtful');
  });
});

describe('outputs as JSON', () => {
  it('sorts sets as the sidecar does and keeps every digit', () => {
    const outputs = new Map<string, PythonValue>([
      ['s', new PythonSet(['b', number('10'), number('2'), 'a', true])],
      ['n', number('12345678901234567890')],
      ['o', new PythonOpaque("b'x'")],
    ]);
    expect(writeOutputs(outputs)).toBe(`{"s":[true,10,2,"a","b"],"n":12345678901234567890,"o":"b'x'"}`);
  });

  it.each([number('NaN'), number('-Infinity'), '\ud83d', [new Map([['\udc00', null]])]])('refuses %j', (value) => {
    expect(() => writeOutputs(new Map([['a', value]]))).toThrow(UnwritableError);
  });
});
