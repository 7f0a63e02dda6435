import { expect, it } from 'vitest';
import { parseJson, writeJson } from './json.ts';

it('keeps every digit of integers and leaves other numbers as they are', () => {
  const text = '{"a":9007199254740993,"b":[1,-5,0.1,1e3,9007199254740991],"c":{"__proto__":-9223372036854775808}}';
  const value = parseJson(text) as Record<string, unknown>;
  expect(value.a).toBe(9007199254740993n);
  expect(value.b).toEqual([1, -5, 0.1, 1000, 9007199254740991]);
  expect(writeJson(value)).toBe(text.replace('1e3', '1000'));
});

it('refuses what JSON cannot say', () => {
  expect(() => writeJson({ a: Number.NaN })).toThrow('JSON has no NaN');
  expect(() => writeJson({ a: [Number.POSITIVE_INFINITY] })).toThrow('JSON has no Infinity');
  expect(() => writeJson(undefined)).toThrow(TypeError);
  expect(() => parseJson('{"a":')).toThrow(SyntaxError);
});
