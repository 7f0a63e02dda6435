import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from './parse-json.ts';
import { fromParsedSpec, toParsedSpec } from './parsed-spec.ts';
import { parseSpec } from './parser.ts';
import { printSpec } from './print.ts';
import { SignatureError } from './signature-error.ts';
import { anySpec } from './test-support/any-spec.ts';
import { writeJson } from './write-json.ts';

describe('the JSON form of a signature', () => {
  it('SIG-17 names each field with its type, default and constraints', () => {
    const text = "q: str 'what', k: int(ge=0, le=10) = 5, o: list[str] | None -> a: float";
    expect(writeJson(toParsedSpec(parseSpec(text)))).toBe(
      '{"inputs":[{"name":"q","type":"str","description":"what","optional":false,"constraints":[]},' +
        '{"name":"k","type":"int","optional":true,"default":5,"constraints":[{"name":"ge","value":"0"},{"name":"le","value":"10"}]},' +
        '{"name":"o","type":"list[str] | None","optional":true,"constraints":[]}],' +
        '"outputs":[{"name":"a","type":"float","optional":false,"constraints":[]}]}',
    );
  });

  it('is read back to the same signature', () => {
    fc.assert(
      fc.property(anySpec, (spec) => {
        expect(fromParsedSpec(parseJson(writeJson(toParsedSpec(spec))))).toEqual(spec);
      }),
    );
  });

  it('makes an optional field without a default admit None', () => {
    const read = (field: string) =>
      printSpec(fromParsedSpec(parseJson(`{"inputs":[${field}],"outputs":[{"name":"b"}]}`)));
    expect(read('{"name":"a","type":"integer","optional":true}')).toBe('a: int | None -> b: str');
    expect(read('{"name":"a","type":"int","optional":true,"default":1}')).toBe('a: int = 1 -> b: str');
    expect(read('{"name":"a","type":"int","constraints":{"ge":1}}')).toBe('a: int(ge=1) -> b: str');
  });

  it.each([
    ['[]', 'a signature is an object of inputs and outputs'],
    ['{}', 'a signature needs at least one input'],
    ['{"inputs":{}}', 'inputs must be a list of fields'],
    ['{"inputs":["a"]}', 'inputs[0] must be an object'],
    ['{"inputs":[{"type":"str"}]}', 'inputs[0].name is missing'],
    ['{"inputs":[{"name":1}]}', 'inputs[0].name must be a string'],
    ['{"inputs":[{"name":"a"}]}', 'a signature needs at least one output'],
    ['{"inputs":[{"name":"a: str, x"}],"outputs":[{"name":"b"}]}', '`a: str, x` is not a Python identifier'],
    [
      '{"inputs":[{"name":"a","type":"strng"}]}',
      'inputs[0].type: line 1, column 1: unknown type `strng`; did you mean `str`?',
    ],
    ['{"inputs":[{"name":"a","type":"str -> b"}]}', 'inputs[0].type: line 1, column 5: unexpected `->` after the type'],
    ['{"inputs":[{"name":"a","type":"None"}],"outputs":[{"name":"b"}]}', '`a`: `None` alone is no type of a field'],
    [
      '{"inputs":[{"name":"a","default":1}]}',
      'inputs[0]: the default of `a` does not fit: expected `str`, got an integer',
    ],
    ['{"inputs":[{"name":"a","constraints":{"gee":1}}]}', 'inputs[0].constraints: unknown constraint `gee`'],
    [
      '{"inputs":[{"name":"a","constraints":[{"name":"ge","value":"x"}]}]}',
      'inputs[0].constraints: `ge` must be a number',
    ],
    ['{"inputs":[{"name":"a","constraints":{"ge":1}}],"outputs":[{"name":"b"}]}', '`a`: `ge` does not apply to `str`'],
    [
      '{"inputs":[{"name":"a","description":"\\u0000"}],"outputs":[{"name":"b"}]}',
      '`a`: the description holds a NUL or half a surrogate pair',
    ],
    ['{"inputs":[{"name":"a"}],"outputs":[{"name":"a"}]}', 'the field `a` stands twice'],
  ])('refuses %s', (text, message) => {
    expect(() => fromParsedSpec(parseJson(text))).toThrow(new SignatureError('SIGNATURE_TYPE', message).message);
  });
});
