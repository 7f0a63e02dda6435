import { JsonNumber, type JsonObject, type JsonValue, jsonFromPlain } from '@signet/signature/json.ts';
import { parseJson } from '@signet/signature/parse-json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evaluate, evaluateCondition } from './evaluate.ts';
import { ExpressionError } from './expression/expression-error.ts';
import { parseExpression } from './expression/parse-expression.ts';
import type { Binding, Scope } from './pipeline.ts';
import { parseReference, printReference } from './read-binding.ts';

const object = (value: object): JsonObject => jsonFromPlain(value) as JsonObject;
const scope: Scope = {
  input: object({ q: 'héllo', k: 3, part: 0.5, list: ['a', 'b'], many: Array.from({ length: 10_000 }, (_, at) => at) }),
  steps: object({ a: { x: [1, 2, { y: null }] }, skipped: null }),
  error: object({ reason: 'MODULE_FAILED', message: 'broken' }),
};
const long: Scope = { ...scope, input: object({ s: 'a'.repeat(2_000_000), t: 'a' }) };
const cel = (expression: string, within = scope): JsonValue => evaluate({ kind: 'cel', expression }, within);
const celText = (expression: string): string => writeJson(cel(expression));
const ref = (text: string): Binding => parseReference(text) ?? { kind: 'literal', value: 'none' };

describe('references', () => {
  it.each([
    ['input.q', '"héllo"'],
    ['input(k)', '3'],
    ['result(a).x[0]', '1'],
    ['steps.a.x[-1].y', 'null'],
    ['steps["a"]["x"][1]', '2'],
    ['steps.a.x[9].y.z', 'null'],
    ['steps.skipped.x', 'null'],
    ['steps.never', 'null'],
    ['input.q.length', 'null'],
    ['error.message', '"broken"'],
  ])('find %s', (reference, expected) => {
    expect(writeJson(evaluate(ref(reference), scope))).toBe(expected);
  });

  it('keep every digit', () => {
    const input = parseJson('{"n": 12345678901234567890.10}') as JsonObject;
    expect(writeJson(evaluate(ref('input.n'), { ...scope, input }))).toBe('12345678901234567890.10');
  });

  it('are texts that can be written and read again, whatever the names', () => {
    const step = fc.oneof(fc.string(), fc.integer({ min: -9_999, max: 9_999 }));
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.array(step, { maxLength: 5 }), (id, rest) => {
        const path = [id, ...rest];
        expect(parseReference(printReference('steps', path))).toEqual({ kind: 'ref', root: 'steps', path });
      }),
    );
  });

  it.each(['', 'steps', 'inputs.q', 'input..q', 'input.q]', 'input[x]', 'steps[0]', 'result()', 'input(q', 'env.HOME'])(
    'are none: %s',
    (reference) => expect(parseReference(reference)).toBeUndefined(),
  );
});

describe('expressions', () => {
  it.each([
    ['input.q + "!"', '"héllo!"'],
    ['input.k + 1', '4'],
    ['double(input.k) * 0.5', '1.5'],
    ['4.0 / 2.0', '2.0'],
    ['input.k > input.part', 'true'],
    ['steps.skipped == null ? "none" : steps.skipped.x', '"none"'],
    ['has(steps.a.z) || has(steps.a.x)', 'true'],
    ['size(input.many.map(x, x * 2))', '10000'],
    ['input.many.filter(x, x > 9997)', '[9998,9999]'],
    ['input.list.map(x, input.list.map(y, x + y))', '[["aa","ab"],["ba","bb"]]'],
    ['[[1] + [2]].map(l, [l + [3], l + [4]])', '[[[1,2,3],[1,2,4]]]'],
    ['input.list.join("-") + "a,b".split(",")[1] + "aa".replace("a", "b")', '"a-bbbb"'],
    ['{"a": [1u, 2.5, null, true], "b": {}}', '{"a":[1,2.5,null,true],"b":{}}'],
    ['error.reason', '"MODULE_FAILED"'],
    ['"x".matches("^(a+)+$")', 'false'],
    ['type(input.k) == int', 'true'],
  ])('come to a value: %s', (expression, expected) => {
    expect(celText(expression)).toBe(expected);
  });

  it.each([
    ['', 'the expression is empty'],
    ['1 +', 'is no CEL expression'],
    ['input.nope', 'field not found: nope'],
    ['steps.skipped.x', 'field not found'],
    ['input.k * 0.5', 'no matching overload'],
    ['1 / 0', 'divide by zero'],
    ['1.0 / 0.0', 'a number that JSON cannot hold'],
    ['9223372036854775807 + 1', 'failed'],
    ['timestamp("2020-01-01T00:00:00Z")', 'no JSON value'],
    ['b"a"', 'no JSON value'],
    ['{1: 2}', 'keys are no texts'],
    ['steps', 'must be followed by the id of a step'],
    ['steps[input.q]', 'must be followed by the id of a step'],
    ['size(steps)', 'must be followed by the id of a step'],
    ['process.env', 'there is no `process`'],
    ['__proto__', 'there is no `__proto__`'],
    ['input.constructor', 'field not found: constructor'],
    ['open("x")', 'there is no function `open`'],
    ['"%d".format([1])', 'there is no function `format`'],
    ['google.protobuf.Struct{}', 'there is no type'],
    ['@turn(true)', 'is no CEL expression'],
    ['[1].map(input, input)', 'no name for a variable of a loop'],
    ['[1].map(x, [2].map(y, [3].map(z, 1)))', 'more than 2 loops in each other'],
    [`${'('.repeat(300)}1${')'.repeat(300)}${' '.repeat(2000)}`, 'more than 2000 characters'],
    [`[${'1,'.repeat(450)}1]`, 'more than 400 parts'],
    [`${'['.repeat(60)}1${']'.repeat(60)}`, 'nested deeper'],
    ['"\\uD800"', ''],
  ])('fail with a message, never otherwise: %s', (expression, message) => {
    expect(() => cel(expression)).toThrow(ExpressionError);
    expect(() => cel(expression)).toThrow(message);
  });

  it.each([
    ['input.many.map(x, input.many.map(y, 1))', /turns|longer than 1000 ms/],
    ['input.many.all(x, input.many.size() > 0 && input.many == input.many)', 'longer than 1000 ms'],
    ['input.many.exists(x, input.many.exists(y, y < 0)) ', /turns|longer than 1000 ms/],
  ])('end, however much they want to do: %s', (expression, message) => {
    const before = performance.now();
    expect(() => cel(expression)).toThrow(message);
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  it.each([
    ['input.s.replace("a", input.s)', 'more than 8388608 characters'],
    ['[input.s, input.s, input.s, input.s, input.s].join()', 'more than 8388608 characters'],
    ['input.s + input.s + input.s + input.s + input.s', 'more than 8388608 characters'],
    ['input.s.split("").size()', 'more than 8388608 characters'],
    ['[1, 2, 3].map(x, input.s)', 'more than 4194304 characters'],
    ['input.s.matches(input.s)', ''],
  ])('make nothing large out of what is not: %s', (expression, message) => {
    const before = performance.now();
    expect(() => cel(expression, long)).toThrow(message);
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  it('never throw anything else and never hang, whatever their text', () => {
    const word = fc.constantFrom(
      ...[
        'input',
        'steps',
        'a',
        'x',
        'q',
        'many',
        'list',
        '.',
        '(',
        ')',
        '[',
        ']',
        '{',
        '}',
        ':',
        '?',
        ',',
        '+',
        '-',
        '*',
        '/',
        '%',
      ],
      ...[
        '&&',
        '||',
        '!',
        '==',
        '<',
        'in',
        'has',
        'map',
        'filter',
        'all',
        'exists_one',
        '"s"',
        '1',
        '2u',
        '3.5',
        'null',
        'true',
      ],
      ...['size', 'string', 'matches', 'split', 'join', 'replace', '@result', '\\', '\n', '$', '"'],
    );
    const expression = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(word, { maxLength: 24 }).map((words) => words.join('')),
    );
    fc.assert(
      fc.property(expression, (text) => {
        try {
          cel(text);
        } catch (error) {
          expect(error).toBeInstanceOf(ExpressionError);
          expect((error as Error).message.length).toBeLessThan(600);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('tell which steps and inputs they look at', () => {
    const { references } = parseExpression(
      'steps.a.x[0] + input.list.map(y, y + input["q"])[0] + (has(steps.b.z) ? "1" : "2")',
    );
    expect(references.map(({ root, path }) => [root, ...path].join(' '))).toEqual([
      'steps a x 0',
      'input list',
      'input q',
      'steps b',
    ]);
  });

  it('are true or false where they are conditions', () => {
    expect(evaluateCondition({ kind: 'cel', expression: 'input.k == 3' }, scope)).toBe(true);
    expect(evaluateCondition(ref('steps.a.x'), { ...scope, steps: object({ a: { x: false } }) })).toBe(false);
    expect(() => evaluateCondition({ kind: 'cel', expression: 'input.k' }, scope)).toThrow('neither true nor false');
  });

  it('stand inside of objects and lists', () => {
    const binding: Binding = {
      kind: 'object',
      members: new Map<string, Binding>([
        ['fixed', { kind: 'literal', value: new JsonNumber('1.50') }],
        ['list', { kind: 'list', items: [ref('input.q'), { kind: 'cel', expression: 'input.k' }] }],
      ]),
    };
    expect(writeJson(evaluate(binding, scope))).toBe('{"fixed":1.50,"list":["héllo",3]}');
  });
});
