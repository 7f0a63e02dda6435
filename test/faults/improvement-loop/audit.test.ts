import { describe, expect, it } from 'vitest';
import type { Asked } from './asked.ts';
import { countByKey, expectedOf, faultsOfAsked } from './audit.ts';
import type { Fall } from './falls.ts';
import { ITEM_COUNT } from './runs.ts';

const asked = (key: string, fromMs: number, tookMs = 100): Asked => ({ key, fromMs, untilMs: fromMs + tookMs });
const fall = (fromMs: number): Fall => ({ victim: 'executor', fromMs, untilMs: fromMs + 5 });
const once = new Map([
  ['a', 1],
  ['b', 2],
]);

describe('the audit of questions to the model', () => {
  it('is content with what was expected, and with one more for each fall that came while it was under way', () => {
    const calm = [asked('a', 0), asked('b', 10), asked('b', 5_000)];
    expect(faultsOfAsked(calm, once, [])).toEqual([]);
    expect(faultsOfAsked([...calm, asked('a', 12_000)], once, [fall(50)])).toEqual([]);
  });

  it('names what was asked again although nobody fell, or fell long after', () => {
    const again = [asked('a', 0), asked('a', 12_000), asked('b', 10), asked('b', 5_000)];
    for (const falls of [[], [fall(8_000)]]) {
      expect(faultsOfAsked(again, once, falls)).toEqual([`a was asked 1 times too often, with 0 falls to excuse it`]);
    }
  });

  it('names what one fall does not excuse twice', () => {
    const thrice = [asked('a', 0), asked('a', 3_000), asked('a', 6_000), asked('b', 10), asked('b', 20)];
    expect(faultsOfAsked(thrice, once, [fall(50)])).toEqual([
      'a was asked 2 times too often, with 1 falls to excuse it',
    ]);
  });

  it('names what was never asked and what nobody expects', () => {
    const odd = [asked('b', 0), asked('b', 10), asked('c', 20)];
    expect(faultsOfAsked(odd, once, [])).toEqual([
      'a was asked 0 times instead of 1',
      'c was asked 1 times too often, with 0 falls to excuse it',
    ]);
  });

  it('expects each step and each item once, and of the optimization what an undisturbed one asks', () => {
    const accepted = { pipelines: [{ id: 'x', run: '7-0' }], batch: 'y', job: 'z', program: 'p' };
    const expected = expectedOf(accepted, 7, countByKey([asked('o', 0), asked('o', 1)]));
    expect([expected.get('tag-7-0-first'), expected.get('item-7-0'), expected.get('o')]).toEqual([1, 1, 2]);
    expect(expected.size).toBe(5 + ITEM_COUNT + 1);
  });
});
