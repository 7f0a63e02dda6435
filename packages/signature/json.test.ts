import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findUnstorableText, JsonError, JsonNumber, jsonFromPlain, plainFromJson } from './json.ts';
import { parseJson } from './parse-json.ts';
import { anyJson } from './test-support/any-spec.ts';
import { writeJson } from './write-json.ts';

function refusal(text: string): string {
  try {
    parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return `${error.reason} ${error.message}`;
    throw error;
  }
  throw new Error(`was not refused: ${text}`);
}

describe('numbers', () => {
  it.each([
    '9007199254740993',
    '0.1000000000000000055',
    '1.0',
    '-0',
    '1E5',
    '1e-400',
    '123456789012345678901234567890',
    '42',
    '100',
  ])('keeps the digits of %s', (text) => {
    expect(writeJson(parseJson(`{"n":[${text}]}`))).toBe(`{"n":[${text}]}`);
  });

  it('takes an integer of 4,300 digits and refuses one of 4,301', () => {
    expect(writeJson(parseJson('9'.repeat(4300)))).toBe('9'.repeat(4300));
    expect(refusal('9'.repeat(4301))).toMatch('JSON_NUMBER');
  });

  it.each(['1e999', '-1e999', `${'9'.repeat(400)}.0`])('refuses %s, which no double can hold', (text) => {
    expect(refusal(text)).toMatch('JSON_NUMBER');
  });

  it.each(['NaN', 'Infinity', '-Infinity', '01', '1.', '.5', '+1', '1e', '--1', '0x10', '1_000'])(
    'refuses %s',
    (text) => {
      expect(refusal(text)).toMatch('JSON_SYNTAX');
    },
  );
});

describe('parsing', () => {
  it.each([
    ['', 'JSON_SYNTAX line 1, column 1: expected a value, found the end of the text'],
    ['{"a":1,}', 'JSON_SYNTAX line 1, column 8: expected a key in double quotes, found "}"'],
    ['[1,\n 2 3]', 'JSON_SYNTAX line 2, column 4: expected `,` or `]`, found "3"'],
    ['{"a" 1}', 'JSON_SYNTAX line 1, column 6: expected `:`, found "1"'],
    ['[1] x', 'JSON_SYNTAX line 1, column 5: unexpected "x" after the end of the value'],
    ['"abc', 'JSON_SYNTAX line 1, column 5: the text ends inside a string'],
    ['"a\nb"', 'JSON_SYNTAX line 1, column 3: control characters in a string must be escaped'],
    ['"\\x"', 'JSON_SYNTAX line 1, column 2: unknown escape in a string'],
    ['"\\u12g4"', 'JSON_SYNTAX line 1, column 2: `\\u` needs four hexadecimal digits'],
    ["{'a':1}", 'JSON_SYNTAX line 1, column 2: expected a key in double quotes, found "\'"'],
    ['{"a":1,"b":2,"a":3}', 'JSON_DUPLICATE_KEY line 1, column 14: the key "a" stands twice in one object'],
    ['tru', 'JSON_SYNTAX line 1, column 1: expected a value, found "t"'],
    ['\ufeff{}', 'JSON_SYNTAX line 1, column 1: expected a value, found "\ufeff"'],
  ])('refuses %j at its place', (text, message) => {
    expect(refusal(text)).toBe(message);
  });

  it('takes 32 levels and refuses 33', () => {
    expect(parseJson('['.repeat(32) + ']'.repeat(32))).toBeTruthy();
    expect(refusal(`${'['.repeat(33)}${']'.repeat(33)}`)).toMatch('JSON_TOO_DEEP');
    expect(refusal('[{"a":'.repeat(100_000))).toMatch('JSON_TOO_DEEP');
    expect(() => parseJson('[[]]', { depthMax: 1 })).toThrow('nested too deeply');
  });

  it('holds __proto__ and constructor as keys like any other', () => {
    const value = parseJson('{"__proto__":{"polluted":true},"constructor":1}');
    expect(writeJson(value)).toBe('{"__proto__":{"polluted":true},"constructor":1}');
    expect(Object.hasOwn(plainFromJson(value) as object, '__proto__')).toBe(true);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('keeps the order of keys that look like numbers', () => {
    expect(writeJson(parseJson(' { "2" : [ ] , "10":{ }, "1" : null } '))).toBe('{"2":[],"10":{},"1":null}');
  });

  it('agrees with JSON.parse on any text, and with itself on any value', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(JSON.stringify(plainFromJson(parseJson(text)))).toBe(JSON.stringify(JSON.parse(text)));
      }),
    );
    fc.assert(
      fc.property(anyJson, (value) => {
        expect(parseJson(writeJson(value))).toEqual(value);
      }),
    );
  });

  it('raises nothing but JsonError on garbage, and only where JSON.parse does or a bound is passed', () => {
    const pieces = ['{', '}', '[', ']', ',', ':', '"a"', '"\\u00e9"', '1', '-', '.5', 'e5', 'null', 'true', ' ', '\\'];
    const garbage = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(garbage, (text) => {
        let standard = true;
        try {
          JSON.parse(text);
        } catch {
          standard = false;
        }
        try {
          parseJson(text);
          expect(standard).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(JsonError);
          if (standard) expect((error as JsonError).reason).not.toBe('JSON_SYNTAX');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('reads a megabyte in under 30 ms', () => {
    const rows = Array.from({ length: 14_000 }, (_, id) => ({
      id,
      name: `name${id}`,
      tags: ['a', 'b'],
      score: id / 7,
    }));
    const text = JSON.stringify(rows).slice(0, -1).padEnd(1_048_576, ' ').concat(']');
    let best = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 10; attempt++) {
      const start = performance.now();
      parseJson(text);
      best = Math.min(best, performance.now() - start);
    }
    expect(best).toBeLessThan(30);
  });
});

describe('plain data', () => {
  it('becomes a lossless value', () => {
    const value = jsonFromPlain({ a: [1, 0.5, -0, 2n ** 64n], b: null, c: undefined, d: new Map([['x', 'y']]) });
    expect(writeJson(value)).toBe('{"a":[1,0.5,-0,18446744073709551616],"b":null,"d":{"x":"y"}}');
  });

  it.each([[Number.NaN], [Number.POSITIVE_INFINITY], [Symbol('x')], [() => 1]])('refuses %s', (value) => {
    expect(() => jsonFromPlain({ value })).toThrow(JsonError);
  });

  it('refuses what is nested without end', () => {
    const endless: unknown[] = [];
    endless.push(endless);
    expect(() => jsonFromPlain(endless)).toThrow('nested too deeply');
  });
});

describe('text that cannot be stored', () => {
  it.each([
    ['{"a":["x","\\u0000"]}', 'inputs.a[1]'],
    ['{"a":{"b c":"\\ud800"}}', 'inputs.a["b c"]'],
    ['{"\\udc00":1}', 'inputs["\\udc00"]'],
    ['{"a":"\\ud83d\\ude00"}', undefined],
  ])('is found in %s', (text, path) => {
    expect(findUnstorableText(parseJson(text), 'inputs')).toBe(path);
  });

  it('is written escaped, never as broken UTF-8', () => {
    expect(writeJson(parseJson('"\\ud800"'))).toBe('"\\ud800"');
    expect(new JsonNumber('1.0').isInteger).toBe(false);
  });
});
