import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { liftSpec, liftType } from './lift.ts';
import { type LoweredType, lowerSpec, lowerType } from './lower.ts';
import { parseType } from './parse-type.ts';
import { parseSpec } from './parser.ts';
import { printSpec } from './print.ts';
import { SignatureError } from './signature-error.ts';
import { anySpec, anyType } from './test-support/any-spec.ts';

/** A lowered type in one line. */
function brief({ kind, args, valuesJson }: LoweredType): string {
  const inside = [...args.map(brief), ...valuesJson];
  return inside.length > 0 ? `${kind}(${inside.join(' ')})` : kind;
}

describe('lowering', () => {
  it.each([
    ['str', 'STR'],
    ['int', 'INT'],
    ['float', 'FLOAT'],
    ['bool', 'BOOL'],
    ['Any', 'ANY'],
    ['list', 'LIST'],
    ['list[str]', 'LIST(STR)'],
    ['dict', 'DICT(STR ANY)'],
    ['dict[int, list]', 'DICT(INT LIST)'],
    ['tuple', 'TUPLE'],
    ['tuple[int, str]', 'TUPLE(INT STR)'],
    ['tuple[int, ...]', 'TUPLE_VARIADIC(INT)'],
    ['set[str]', 'SET(STR)'],
    ['str | None', 'UNION(STR NONE)'],
    ['None | int', 'UNION(NONE INT)'],
    ["Literal['a', 2, True, None]", 'LITERAL("a" 2 true null)'],
    ['embedding', 'LIST(FLOAT)'],
    ['probability', 'FLOAT'],
    ['tensor', 'DICT(STR ANY)'],
    ['float | probability', 'FLOAT'],
    ['tensor | dict | None', 'UNION(DICT(STR ANY) NONE)'],
  ])('SIG-17 turns %s into %s', (text, lowered) => {
    expect(brief(lowerType(parseType(text)))).toBe(lowered);
  });

  it('SIG-20 turns what an ML type promises into constraints', () => {
    const fields = lowerSpec(parseSpec('a: probability, b: probability(gt=0.1) -> c: embedding[3]'));
    expect(fields.map((field) => field.constraints.map(({ name, value }) => `${name}=${value}`).join())).toEqual([
      'ge=0,le=1',
      'gt=0.1,le=1',
      'min_length=3,max_length=3',
    ]);
  });

  it('keeps order, descriptions, the digits of bounds and defaults', () => {
    const [a, b] = lowerSpec(parseSpec("a: float(lt=1.50, gt=0) = 1 'how much' -> b: dict"));
    expect(a).toEqual({
      name: 'a',
      output: false,
      type: { kind: 'FLOAT', args: [], valuesJson: [] },
      description: 'how much',
      constraints: [
        { name: 'lt', value: '1.50' },
        { name: 'gt', value: '0' },
      ],
      defaultJson: '1.0',
    });
    expect(b).toMatchObject({ name: 'b', output: true, description: '', constraints: [], defaultJson: '' });
  });
});

describe('lifting', () => {
  it('SIG-03 makes a signature out of the fields of a Python class', () => {
    const spec = parseSpec("a: list[str], b: int(ge=0) = 5 'x' -> c: dict[str, Literal['u', 1] | None]");
    expect(printSpec(liftSpec(lowerSpec(spec)))).toBe(printSpec(spec));
  });

  it('undoes lowering for any type, up to what lowering merges', () => {
    fc.assert(
      fc.property(anyType, (type) => {
        const lowered = lowerType(type);
        expect(lowerType(liftType(lowered))).toEqual(lowered);
      }),
    );
    fc.assert(
      fc.property(anySpec, (spec) => {
        const lowered = lowerSpec(spec);
        expect(lowerSpec(liftSpec(lowered)).map(({ name, type }) => ({ name, type }))).toEqual(
          lowered.map(({ name, type }) => ({ name, type })),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('refuses shapes and names that no signature has', () => {
    const text = { kind: 'STR', args: [], valuesJson: [] } as const;
    const field = { name: 'a', output: false, type: text, description: '', constraints: [], defaultJson: '' };
    const output = { ...field, name: 'b', output: true };
    expect(() => liftSpec([field])).toThrow('at least one output');
    expect(() => liftSpec([{ ...field, name: 'a: str, x' }, output])).toThrow('is not a Python identifier');
    expect(() => liftSpec([field, { ...output, name: 'a' }])).toThrow('stands twice');
    expect(() => liftSpec([{ ...field, type: { ...text, args: [text] } }, output])).toThrow(SignatureError);
    expect(() => liftSpec([{ ...field, type: { ...text, kind: 'BYTES' as never } }, output])).toThrow(SignatureError);
    expect(() => liftSpec([{ ...field, constraints: [{ name: 'pattern', value: '1' }] }, output])).toThrow(
      'unknown constraint',
    );
    expect(() => liftSpec([{ ...field, defaultJson: '1' }, output])).toThrow('does not fit');
  });
});
