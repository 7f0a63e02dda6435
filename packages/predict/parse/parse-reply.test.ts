import { JsonNumber } from '@signet/signature/json.ts';
import { describe, expect, it } from 'vitest';
import type { PromptAdapter } from '../plan/plan.ts';
import { PythonSet } from '../python/value.ts';
import { literal, predictorOf, type TypeJson, type } from '../test-support/plans.ts';
import { parseReply } from './parse-reply.ts';

const number = (text: string): JsonNumber => new JsonNumber(text);
const str = type('str');
const int = type('int');
const float = type('float');

function read(outputs: Readonly<Record<string, TypeJson>>, adapter: PromptAdapter, reply: string): unknown {
  const outcome = parseReply(predictorOf(outputs), adapter, reply);
  if (outcome.kind === 'value') return Object.fromEntries(outcome.outputs);
  return outcome.kind === 'error' ? outcome.reason : outcome.kind;
}

const section = (text: string): string => `[[ ## a ## ]]\n${text}\n\n[[ ## completed ## ]]\n`;

describe('the Chat adapter', () => {
  it.each([
    [
      'reads sections in the signature\u2019s order',
      'x\n[[ ## b ## ]]\n3\n[[ ## a ## ]]\n hi \n there \n',
      { a: 'hi \n there', b: number('3') },
    ],
    [
      'takes what stands on the header\u2019s line',
      '[[ ## a ## ]] one\ntwo\n[[ ## b ## ]] 3',
      { a: 'one\ntwo', b: number('3') },
    ],
    [
      'cuts an indented header as DSPy does',
      '  [[ ## a ## ]]\nhello\n[[ ## b ## ]] 3',
      { a: ']]\nhello', b: number('3') },
    ],
    ['keeps the first of equal headers', '[[ ## a ## ]]x\n[[ ## a ## ]]y\n[[ ## b ## ]] 3', { a: 'x', b: number('3') }],
    ['knows no decorated header', '**[[ ## a ## ]]**\nx\n[[ ## b ## ]]\n3', { kind: 'missing', fields: ['a'] }],
    [
      'names the first field that does not fit',
      '[[ ## b ## ]]\nthree\n[[ ## a ## ]]\nx',
      { kind: 'value', field: 'b' },
    ],
    ['misses all in an empty reply', '', { kind: 'missing', fields: ['a', 'b'] }],
    [
      'stops at a header that the prompt taught',
      'Say `[[ ## a ## ]]` first\n[[ ## a ## ]]\n1\n[[ ## b ## ]]\n2',
      { a: '1', b: number('2') },
    ],
  ])('%s', (_name, reply, expected) => {
    expect(read({ a: str, b: int }, 'chat', reply)).toEqual(expected);
  });

  it.each([
    ['int', int, '1_000', number('1000')],
    ['int of a whole float', int, '3.0', number('3')],
    ['bool', type('bool'), 'True', true],
    ['bool in words', type('bool'), 'yes', true],
    ['float', float, 'nan', number('NaN')],
    ['Literal with quotes', literal('yes', 'no'), '"yes"', 'yes'],
    ['Literal in its own name', literal('yes', 'no'), "Literal['no']", 'no'],
    ['Literal of ints', literal(1, 2), '2.0', number('2')],
    ['str | None', type('union', str, type('none')), 'null', 'null'],
    ['int | None', type('union', int, type('none')), 'None', null],
    ['the nearest member', type('union', int, str), '"5"', '5'],
    ['an exact list before a strict one', type('union', type('list', float), type('list', int)), '[1]', [number('1')]],
    ['a set', type('set', float), '[1, 1.0, 2]', new PythonSet([number('1.0'), number('2.0')])],
    ['Any', type('any'), 'plain words', 'plain words'],
    ['a list with a comma too many', type('list', str), "['a', 'b',]", ['a', 'b']],
    ['a list over several lines', type('list', int), "[\n  '1',\n  2,\n]", [number('1'), number('2')]],
    ['a dict with a comma too many', type('dict', str, int), '{\n  "k": 1,\n}', new Map([['k', number('1')]])],
    ['a fenced list', type('list', int), '```json\n[1, "2"]\n```', [number('1'), number('2')]],
  ])('reads %s', (_name, of, text, expected) => {
    expect(read({ a: of }, 'chat', section(text))).toEqual({ a: expected });
  });

  it.each([
    [int, '3.5'],
    [int, '３'],
    [int, '9223372036854775808.0'],
    [float, '50%'],
    [type('bool'), 'maybe'],
    [literal('yes', 'no'), 'Yes'],
    [type('tuple', int, str), '[1]'],
    [type('dict', str, int), '[]'],
  ])('refuses %j from %j', (of, text) => {
    expect(read({ a: of }, 'chat', section(text))).toEqual({ kind: 'value', field: 'a' });
  });

  it.each([
    "['a', 'it\\'s']",
    "['a',, 'b']",
    "['a'. 'b']",
    '[[]\n,]',
    "['a', {}\n]",
    '{"a": 1',
    '[1] [2]',
    '(1, 2)',
    '// note\n[1]',
    '1, 2',
  ])('hands %j over', (text) => {
    expect(read({ a: type('list', str) }, 'chat', section(text))).toBe('doubtful');
  });

  it('hands over what comes before a fault that is certain', () => {
    const reply = "[[ ## a ## ]]\n['x',,]\n[[ ## b ## ]]\nno number";
    expect(read({ a: type('list', str), b: int }, 'chat', reply)).toBe('doubtful');
  });
});

describe('the JSON adapter', () => {
  it.each([
    ['{"b": 3, "a": null, "c": 1}', { a: 'None', b: number('3') }],
    ['{"a": {"k": [1.50, true]}, "b": "3"}', { a: "{'k': [1.5, True]}", b: number('3') }],
    ['[{"a": "x", "b": 3}, 1]', { a: 'x', b: number('3') }],
    ['Sure! {"a": "x", "b": 3} Done.', { a: 'x', b: number('3') }],
    ['{"a": "x"}', { kind: 'missing', fields: ['b'] }],
    ['{"a": "x", "b": "y"}', { kind: 'value', field: 'b' }],
    ['no object', { kind: 'no_object' }],
    ['[1, 2]', { kind: 'no_object' }],
    ['{"a": "x", "b": 3} {"a": "y"}', 'doubtful'],
    ["{'a': 'x', 'b': 3}", { a: 'x', b: number('3') }],
    ["{'a': None, 'b': True}", { a: 'None', b: number('1') }],
    ["{'a': 'x', 'a': 'y', 'b': 3}", 'doubtful'],
    ["{'a': 'x, y', 'b': 3}", 'doubtful'],
  ])('reads %j', (reply, expected) => {
    expect(read({ a: str, b: int }, 'json', reply)).toEqual(expected);
  });

  it('fills what may be left out, in the signature\u2019s order', () => {
    expect(read({ a: type('union', int, type('none')), b: str }, 'json', '{"b": "x"}')).toEqual({ a: null, b: 'x' });
  });
});
