import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFieldText } from './field-text.ts';

const outputFields = [
  { name: 'answer', text: true },
  { name: 'score', text: false },
  { name: 'été', text: true },
];

function show(text: string, size: number): { fields: Record<string, string>; each: string[] } {
  const fields: Record<string, string> = {};
  const each: string[] = [];
  const finder = createFieldText({ promptAdapter: 'json', outputFields }, ({ field, text: piece }) => {
    fields[field] = (fields[field] ?? '') + piece;
    each.push(piece);
  });
  for (let at = 0; at < text.length; at += size) finder.push(text.slice(at, at + size));
  finder.end();
  return { fields, each };
}

describe('text of a JSON reply', () => {
  it('shows the string values of text fields, in any cut', () => {
    const value = fc.record({
      answer: fc.string({ unit: 'binary' }),
      score: fc.jsonValue(),
      other: fc.jsonValue(),
      été: fc.string({ unit: 'binary' }),
    });
    fc.assert(
      fc.property(
        value,
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(undefined, 2),
        fc.boolean(),
        (reply, size, indent, ascii) => {
          const json = JSON.stringify(reply, null, indent);
          const text = ascii
            ? json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
            : json;
          const expected = Object.fromEntries(
            Object.entries({ answer: reply.answer, été: reply.été }).filter(([, held]) => held !== ''),
          );
          expect(show(text, size).fields).toEqual(expected);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('shows the growth of an object in a code fence', () => {
    expect(show('```json\n{"answer": "A\\nb"}\n```', 1).each).toEqual(['A', '\nb']);
  });

  it('holds white space back, and lets go of it only when the whole reply is strict', () => {
    expect(show('{"answer":"a ","été":" b "}', 2).fields).toEqual({ answer: 'a ', été: ' b ' });
    for (const text of ['{"answer":"a ","x', '{"answer":"a ","été":1} and', '```json\n{"answer":"a "}\n```']) {
      expect(show(text, 2).fields).toEqual({ answer: 'a' });
    }
  });

  it('never shows half a character', () => {
    for (const piece of show('{"answer":"\\ud83d\\ude00😀"}', 1).each) expect(piece.isWellFormed()).toBe(true);
  });

  it('shows nothing of prose, of an array, of numbers and of nested objects', () => {
    for (const text of [
      'Sure: {"answer":"x"}',
      '[{"answer":"x"}]',
      '{"answer":7}',
      '{"score":{"answer":"x"}}',
      "{'answer':'x'}",
      '',
    ]) {
      expect(show(text, 3).fields).toEqual({});
    }
  });

  it('falls silent where the reply leaves strict JSON, and shows a repeated key once', () => {
    expect(show('{"answer":"a\nb"}', 2).fields).toEqual({ answer: 'a' });
    expect(show('{"answer":"a\\qb"}', 2).fields).toEqual({ answer: 'a' });
    expect(show('{"answer":"a","answer":"b"}', 5).fields).toEqual({ answer: 'a' });
    expect(show('{"answer":"a"} {"answer":"b"}', 5).fields).toEqual({ answer: 'a' });
  });
});
