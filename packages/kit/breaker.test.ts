import { describe, expect, it } from 'vitest';
import { Breaker } from './breaker.ts';

function breakerAt(): { breaker: Breaker; later(ms: number): void } {
  let nowMs = 1_000;
  return {
    breaker: new Breaker({ failureMax: 3, openMs: 100, nowMs: () => nowMs }),
    later: (ms) => {
      nowMs += ms;
    },
  };
}

describe('a breaker', () => {
  it('opens after failures in a row, and only then', () => {
    const { breaker } = breakerAt();
    breaker.fail();
    breaker.fail();
    breaker.succeed();
    breaker.fail();
    breaker.fail();
    expect([breaker.isOpen, breaker.waitMs()]).toEqual([false, undefined]);
    breaker.fail();
    expect([breaker.isOpen, breaker.waitMs()]).toEqual([true, 100]);
  });

  it('lets one probe in when its time is over, and closes or opens by how that goes', () => {
    const { breaker, later } = breakerAt();
    for (let at = 0; at < 3; at++) breaker.fail();
    later(100);
    expect(breaker.waitMs()).toBeUndefined();
    breaker.enter();
    expect(breaker.waitMs()).toBeGreaterThan(0);
    breaker.fail();
    expect(breaker.waitMs()).toBe(100);
    later(100);
    breaker.enter();
    breaker.leave();
    expect(breaker.waitMs()).toBeUndefined();
    breaker.enter();
    breaker.succeed();
    expect([breaker.isOpen, breaker.waitMs()]).toEqual([false, undefined]);
  });
});
