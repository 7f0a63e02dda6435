import { describe, expect, it } from 'vitest';
import { RequestWindow, TokenWindow } from './minute-window.ts';

describe('a window of requests', () => {
  it('never gives more than allowed in any minute, first come, first served', () => {
    const window = new RequestWindow(3);
    const times: number[] = [];
    for (let nowMs = 0; times.length < 20_000; nowMs += 7) {
      const atMs = window.peek(nowMs);
      window.reserve(atMs);
      times.push(atMs);
    }
    expect(times.slice(0, 3)).toEqual([0, 7, 14]);
    expect(times.every((atMs, at) => at < 3 || atMs - times[at - 3]! >= 60_000)).toBe(true);
    expect(times.every((atMs, at) => at === 0 || atMs >= times[at - 1]!)).toBe(true);
  });

  it('reserves nothing by being asked', () => {
    const window = new RequestWindow(1);
    expect([window.peek(5), window.peek(5)]).toEqual([5, 5]);
    window.reserve(5);
    expect(window.peek(6)).toBe(60_005);
  });
});

describe('a window of tokens', () => {
  it('waits until enough of what was used is a minute ago', () => {
    const window = new TokenWindow(100);
    window.reserve(0, 60);
    window.reserve(10, 40);
    expect(window.peek(20, 10)).toBe(60_000);
    expect(window.peek(20, 70)).toBe(60_010);
    expect(window.peek(60_000, 60)).toBe(60_000);
  });

  it('counts what was really used once that is known', () => {
    const window = new TokenWindow(100);
    const share = window.reserve(0, 90);
    window.settle(share, 20);
    expect(window.peek(1, 80)).toBe(1);
    expect(window.peek(1, 81)).toBe(60_000);
    expect(window.peek(60_001, 100)).toBe(60_001);
    window.settle(share, 90);
    expect(window.peek(60_001, 100)).toBe(60_001);
  });

  it('gives a call that needs more than there ever is a minute of its own', () => {
    const window = new TokenWindow(100);
    expect(window.peek(0, 500)).toBe(0);
    window.reserve(0, 500);
    expect(window.peek(1, 1)).toBe(60_000);
  });
});
