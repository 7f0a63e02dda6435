import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileServing, type ServingPlan, shareOf } from './serving-plan.ts';

const planOf = (...percents: number[]): ServingPlan =>
  compileServing({ labels: {}, split: percents.map((percent, at) => ({ version: at + 1, percent })) }) as ServingPlan;
const keys = Array.from({ length: 10_000 }, (_, at) => `user-${at}`);

describe('the calls of a program', () => {
  it('are shared as the percentages say', () => {
    const plan = planOf(80, 15, 5);
    const counts = new Map<number, number>();
    for (const key of keys) {
      const version = shareOf(plan, 'program', key) ?? 0;
      counts.set(version, (counts.get(version) ?? 0) + 1);
    }
    for (const [version, percent] of [
      [1, 80],
      [2, 15],
      [3, 5],
    ] as const) {
      expect(Math.abs((counts.get(version) ?? 0) / 100 - percent)).toBeLessThan(1.5);
    }
  });

  it('find a version for every key, the same one each time', () => {
    fc.assert(
      fc.property(fc.string(), fc.uuid(), fc.integer({ min: 1, max: 99 }), (key, program, percent) => {
        const plan = planOf(percent, 100 - percent);
        const first = shareOf(plan, program, key);
        expect([1, 2]).toContain(first);
        expect(shareOf(plan, program, key)).toBe(first);
      }),
    );
  });

  it('stay with their version when percentages move, but for those in between', () => {
    const moved = keys.filter((key) => shareOf(planOf(90, 10), 'p', key) !== shareOf(planOf(80, 20), 'p', key));
    expect(moved.length / keys.length).toBeCloseTo(0.1, 1);
    for (const key of moved) expect(shareOf(planOf(80, 20), 'p', key)).toBe(2);
  });

  it('of two programs are not shared in the same way', () => {
    const plan = planOf(50, 50);
    const same = keys.filter((key) => shareOf(plan, 'one', key) === shareOf(plan, 'two', key)).length;
    expect(Math.abs(same / keys.length - 0.5)).toBeLessThan(0.03);
  });
});
