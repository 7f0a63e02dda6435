import { describe, expect, test } from 'vitest';
import { createRateLimiter, parseRateLimit, rateHeaders } from './rate-limit.ts';

function fakeClock() {
  let ms = 0;
  return {
    clock: { now: () => new Date(ms), steadyMs: () => ms },
    pass: (by: number): void => {
      ms += by;
    },
  };
}

describe('the limiter', () => {
  test('POL-04 refuses the 101st call of a minute and takes calls again in the next', () => {
    const { clock, pass } = fakeClock();
    const limiter = createRateLimiter({ count: 100, windowMs: 60_000 }, clock);
    for (let call = 1; call <= 100; call++) expect(limiter.take('a')?.allowed).toBe(true);
    pass(59_999);
    expect(limiter.take('a')).toMatchObject({ allowed: false, remaining: 0, resetMs: 1 });
    expect(limiter.take('b')?.allowed).toBe(true);
    pass(1);
    expect(limiter.take('a')).toMatchObject({ allowed: true, remaining: 99 });
  });

  test('looks without counting', () => {
    const limiter = createRateLimiter({ count: 1, windowMs: 1000 }, fakeClock().clock);
    expect([limiter.look('a')?.allowed, limiter.look('a')?.allowed]).toEqual([true, true]);
    limiter.take('a');
    expect(limiter.look('a')?.allowed).toBe(false);
  });

  test('forgets the oldest of very many names', () => {
    const limiter = createRateLimiter({ count: 1, windowMs: 1000 }, fakeClock().clock);
    for (let name = 0; name <= 50_000; name++) limiter.take(`n${name}`);
    expect(limiter.take('n0')?.allowed).toBe(true);
    expect(limiter.take('n50000')?.allowed).toBe(false);
  });

  test('says in headers where the caller stands', () => {
    const limiter = createRateLimiter({ count: 3, windowMs: 60_000 }, fakeClock().clock);
    expect(rateHeaders(limiter.take('a')!)).toEqual({
      'ratelimit-policy': '"default";q=3;w=60',
      ratelimit: '"default";r=2;t=60',
    });
  });

  test('is off when it is told so, and its setting is read strictly', () => {
    expect(createRateLimiter(parseRateLimit('off')!, fakeClock().clock).take('a')).toBeUndefined();
    expect(parseRateLimit('100/60s')).toEqual({ count: 100, windowMs: 60_000 });
    for (const text of ['', '100', '0/60s', '100/60', '-1/1s', '1e3/1s', 'on', '100/0s']) {
      expect(parseRateLimit(text)).toBeNull();
    }
  });
});
