import { jsonFromPlain } from '@signet/signature/json.ts';
import { writeJson } from '@signet/signature/write-json.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeAndRank } from './merge-and-rank.ts';

const merge = (input: unknown): unknown => JSON.parse(writeJson(mergeAndRank(jsonFromPlain(input))));

describe('merge_and_rank', () => {
  it('PIP-05 ranks by the sum of 1 / (60 + rank), so that what several lists hold comes first', () => {
    expect(merge({ vector: ['a', 'b', 'c'], keyword: ['d', 'b'], colbert: ['e', 'c'] })).toEqual([
      'b',
      'c',
      'a',
      'd',
      'e',
    ]);
  });

  it('PIP-05 keeps the order of those that rank the same', () => {
    expect(
      merge([
        ['x', 'y'],
        ['p', 'q'],
      ]),
    ).toEqual(['x', 'p', 'y', 'q']);
  });

  it('PIP-05 takes items of one id, else of one text, as one, and keeps the first', () => {
    const first = { id: 7, text: 'one', from: 'vector' };
    const other = { id: 8, text: 'one' };
    expect(
      merge([
        [first, 'same'],
        [other, { id: 7, text: 'another' }, { text: 'same' }],
      ]),
    ).toEqual([first, 'same', other]);
  });

  it('PIP-05 takes the results of a group: of each step the list that it gives', () => {
    const group = {
      vector_search: { passages: ['a', 'b'] },
      colbert_search: [{ long_text: 'b' }],
      failed: null,
      count: 3,
    };
    expect(merge(group)).toEqual(['b', 'a']);
  });

  it('counts once what one list holds twice, by its better rank', () => {
    expect(merge([['a', 'b', 'b'], ['c']])).toEqual(['a', 'c', 'b']);
  });

  it.each([
    [null, []],
    [[], []],
    [{}, []],
    ['text', []],
    [3, []],
    [
      ['b', 'a'],
      ['b', 'a'],
    ],
    [
      [{ text: 'a' }, { text: 'b' }],
      [{ text: 'a' }, { text: 'b' }],
    ],
  ])('takes %j as what it is', (input, expected) => expect(merge(input)).toEqual(expected));

  it('gives each item once and none that was not there, whatever it is given', () => {
    const lists = fc.array(fc.array(fc.string({ maxLength: 2 }), { maxLength: 8 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(lists, (given) => {
        const merged = merge(given) as string[];
        expect(new Set(merged).size).toBe(merged.length);
        expect(new Set(merged)).toEqual(new Set(given.flat()));
      }),
    );
    fc.assert(fc.property(fc.jsonValue(), (given) => Array.isArray(merge(given))));
  });
});
