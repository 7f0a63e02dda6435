import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import cases from './cases/values.json' with { type: 'json' };
import { JsonNumber, type JsonValue } from './json.ts';
import { parseJson } from './parse-json.ts';
import { parseSpec } from './parser.ts';
import { anyJson, anySpec } from './test-support/any-spec.ts';
import { type CheckResult, checkValues, compileChecker } from './value.ts';
import { writeJson } from './write-json.ts';

function shown(result: CheckResult): string | string[] {
  if (result.ok) return writeJson(result.values);
  return result.violations.map(({ field, reason, description }) => `${field} ${reason} ${description}`);
}

function check(spec: string, value: JsonValue, options = {}): string | string[] {
  return shown(checkValues(parseSpec(spec).inputs, value, options));
}

describe('the golden values', () => {
  it.each(cases)('SIG-19 are checked strictly: $about', ({ spec, given, strict }) => {
    expect(check(spec, parseJson(given))).toEqual(strict);
  });

  it.each(cases)('SIG-19 are coerced without strict mode: $about', ({ spec, given, lax }) => {
    expect(check(spec, parseJson(given), { strictMode: false })).toEqual(lax);
  });
});

describe('faults', () => {
  it('SIG-22 are told at once, up to a hundred', () => {
    const items: JsonValue[] = Array.from({ length: 500 }, () => null);
    const violations = check('a: list[str] -> b', new Map([['a', items]]));
    expect(violations).toHaveLength(100);
    const extras = new Map(Array.from({ length: 500 }, (_, index) => [`extra${index}`, null]));
    expect(check('a: str -> b', extras)).toHaveLength(100);
  });

  it('SIG-22 name the side they were found on', () => {
    expect(check('a: int -> b', new Map([['a', 'x']]), { root: 'outputs' })).toEqual([
      'outputs.a TYPE_MISMATCH expected `int`, got a string',
    ]);
  });

  it('never repeat a value and shorten a long key', () => {
    const secret = 'sk-very-secret';
    const found = check(
      'a: int -> b',
      new Map<string, JsonValue>([
        ['a', secret],
        ['k'.repeat(9999), 1 as never],
      ]),
    );
    expect(JSON.stringify(found)).not.toContain(secret);
    expect(JSON.stringify(found).length).toBeLessThan(400);
  });

  it('refuse an integer that no float can hold', () => {
    expect(check('a: float -> b', new Map([['a', new JsonNumber('9'.repeat(400))]]))).toEqual([
      'inputs.a TYPE_MISMATCH the number is beyond the range of a float',
    ]);
  });

  it('take an integer of 4,300 digits and refuse a longer one, as number and as text', () => {
    const digits = (count: number) => '9'.repeat(count);
    expect(check('a: int -> b', new Map([['a', new JsonNumber(digits(4300))]]))).toBe(`{"a":${digits(4300)}}`);
    expect(check('a: int -> b', new Map([['a', digits(4301)]]), { strictMode: false })).toHaveLength(1);
  });
});

describe('a checker', () => {
  it('SIG-22 fills in a default that is None, whatever the type', () => {
    const { inputs } = parseSpec('q: str, rest: Any = None -> answer');
    const checked = checkValues(inputs, new Map([['q', 'x']]));
    expect(checked).toEqual({
      ok: true,
      values: new Map<string, JsonValue>([
        ['q', 'x'],
        ['rest', null],
      ]),
    });
  });

  it('leaves out what is missing where only a part is asked for', () => {
    const fields = parseSpec('a: int = 5, b: str | None, c: str -> d').inputs;
    expect(shown(checkValues(fields, parseJson('{"c":"x"}'), { partial: true }))).toBe('{"c":"x"}');
    expect(shown(checkValues(fields, parseJson('{"c":1}'), { partial: true }))).toHaveLength(1);
  });

  it('gives back the very list it got unless an item was coerced, and never changes it', () => {
    const list: JsonValue = parseJson('[1,0.5]');
    const result = checkValues(parseSpec('a: list[float] -> b').inputs, new Map([['a', list]]));
    expect(shown(result)).toBe('{"a":[1.0,0.5]}');
    expect(writeJson(list)).toBe('[1,0.5]');
    const same = checkValues(parseSpec('a: list -> b').inputs, new Map([['a', list]]));
    expect(same.ok && same.values.get('a')).toBe(list);
  });

  it('SIG-22 agrees with itself: what it gives back it takes again, unchanged', () => {
    fc.assert(
      fc.property(anySpec, anyJson, fc.boolean(), (spec, value, strictMode) => {
        const checker = compileChecker(spec.inputs, { strictMode });
        const given = new Map(spec.inputs.map((field) => [field.name, value]));
        const first = checker(given);
        if (first.ok) expect(shown(checker(first.values))).toBe(writeJson(first.values));
        else expect(first.violations.length).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  it('takes what was coerced into one member of a union as the member takes it that it fits', () => {
    const fields = parseSpec('a: list[embedding] | list[set] -> b').inputs;
    const checker = compileChecker(fields, { strictMode: false });
    const checked = checker(parseJson('{"a":0}'));
    expect(shown(checked)).toBe('{"a":[[0.0]]}');
  });

  it('stays quick on the widest unions and on text made to slow patterns down', () => {
    const nested = `${'Optional[list['.repeat(8)}int | str${']]'.repeat(8)}`;
    const wide = Array.from({ length: 30 }, (_, index) => `dict[str, embedding[${index + 1}]]`).join(' | ');
    const fields = parseSpec(`a: ${nested}, b: ${wide}, c: int, d: float -> e`).inputs;
    const start = performance.now();
    const checker = compileChecker(fields, { strictMode: false });
    const zeros = `${'0'.repeat(200_000)}x`;
    const value = parseJson(
      `{"a":${'['.repeat(8)}null${']'.repeat(8)},"b":{"k":[]},"c":"${zeros}","d":"${' '.repeat(200_000)}x"}`,
    );
    expect(checker(value).ok).toBe(false);
    expect(performance.now() - start).toBeLessThan(500);
  });
});
