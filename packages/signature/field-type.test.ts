import { afterEach, describe, expect, it } from 'vitest';
import { fieldTypesOf, findFieldType, forgetFieldTypes, registerFieldTypes } from './field-type.ts';
import { parseJson } from './parse-json.ts';
import { parseType } from './parse-type.ts';
import { fromParsedSpec, toParsedSpec } from './parsed-spec.ts';
import { parseSpec } from './parser.ts';
import { printSpec } from './print.ts';
import { compileChecker } from './value.ts';
import { writeJson } from './write-json.ts';

const even = {
  name: 'Even',
  base: 'int',
  validate: (value: unknown) => (Number(value) % 2 === 0 ? true : 'is odd'),
  convert: (value: unknown) => Number(value) * 10,
};
const register = (...definitions: unknown[]): void => registerFieldTypes(definitions, (text) => parseType(text));

afterEach(forgetFieldTypes);

describe('registered field types', () => {
  it('are declared by name and keep it in every form', () => {
    register(even);
    const spec = parseSpec('n: Even(ge=2) -> m: Even');
    expect(spec.inputs[0]).toMatchObject({ type: { kind: 'int' }, registered: 'Even' });
    expect(printSpec(spec)).toBe('n: Even(ge=2) -> m: Even');
    expect(fromParsedSpec(toParsedSpec(spec))).toEqual(spec);
  });

  it('check the base type, then validate, then convert', () => {
    register(even);
    const check = compileChecker(parseSpec('n: Even(ge=2) -> m').inputs);
    const read = (text: string): unknown => {
      const result = check(parseJson(text));
      return result.ok ? writeJson(result.values) : result.violations.map(({ description }) => description);
    };
    expect(read('{"n":4}')).toBe('{"n":40}');
    expect(read('{"n":3}')).toEqual(['is odd']);
    expect(read('{"n":"4"}')).toHaveLength(1);
    expect(read('{"n":0}')).toHaveLength(1);
    expect(read('{}')).toHaveLength(1);
  });

  it('refuse defaults that do not fit and names inside other types', () => {
    register(even);
    expect(() => parseSpec('n: Even = 3 -> m')).toThrow(/does not fit/);
    expect(() => parseSpec('n: list[Even] -> m')).toThrow(/unknown type/);
    forgetFieldTypes();
    expect(() => parseSpec('n: Even -> m')).toThrow(/unknown type/);
  });

  it.each([
    [undefined],
    [{}],
    [{ ...even, name: 'even' }],
    [{ ...even, name: 'Literal' }],
    [{ ...even, validate: 'x' }],
    [{ ...even, convert: undefined }],
    [{ ...even, base: 7 }],
  ])('refuse the definition %j', (definition) => {
    expect(() => register(definition)).toThrow(TypeError);
    expect(findFieldType('Even')).toBeUndefined();
  });

  it('refuse the same name twice, and files without any', () => {
    register(even);
    expect(() => register(even)).toThrow(/twice/);
    expect(() => fieldTypesOf({ other: 1 })).toThrow(TypeError);
    expect(fieldTypesOf({ a: even, list: [even], other: 1 })).toEqual([even, even]);
  });
});
