import { expect, test } from 'vitest';
import { type Leave, noPlace, Turnstile } from './turnstile.ts';

const enterAll = (turnstile: Turnstile, caller: string, times: number): Leave[] =>
  Array.from({ length: times }, () => turnstile.enter(caller, 0)).filter((leave) => leave !== undefined);

test('lets in as many as there are places, and others again when some have left', () => {
  const turnstile = new Turnstile({ callMax: 4 });
  const inside = enterAll(turnstile, 'a', 9);
  expect([inside.length, turnstile.size]).toEqual([4, 4]);
  inside[0]!();
  inside[0]!();
  expect(turnstile.size).toBe(3);
  expect(enterAll(turnstile, 'a', 9)).toHaveLength(1);
});

test('keeps an eighth for whoever has less than a fair part, and gives each the same in the end', () => {
  const turnstile = new Turnstile({ callMax: 80 });
  const greedy = enterAll(turnstile, 'greedy', 200);
  expect(greedy).toHaveLength(70);
  const modest = enterAll(turnstile, 'modest', 200);
  expect(modest).toHaveLength(10);
  for (const leave of greedy.splice(0, 40)) leave();
  modest.push(...enterAll(turnstile, 'modest', 200));
  expect([greedy.length, modest.length]).toEqual([30, 40]);
});

test('bounds the bytes of all bodies together, but not that of a single one', () => {
  const turnstile = new Turnstile({ callMax: 10, bytesMax: 100 });
  const leave = turnstile.enter('a', 500)!;
  expect(turnstile.enter('a', 1)).toBeUndefined();
  leave();
  expect(turnstile.enter('a', 60)).toBeDefined();
  expect(turnstile.enter('a', 60)).toBeUndefined();
  expect(turnstile.enter('a', 40)).toBeDefined();
});

test('falls to what the owner can take, never to nothing, and grows as calls end', () => {
  const turnstile = new Turnstile({ callMax: 1000 });
  const inside = enterAll(turnstile, 'a', 100);
  turnstile.full();
  expect(turnstile.bound).toBe(99);
  for (const leave of inside) leave();
  expect(turnstile.bound).toBeGreaterThanOrEqual(100);
  for (let times = 0; times < 20; times++) turnstile.full();
  expect(turnstile.bound).toBe(8);
  for (let times = 0; times < 60; times++) turnstile.enter('a', 0)!();
  expect(turnstile.bound).toBe(9);
});

test('lets fewer in while the process cannot keep up, down to a floor', () => {
  const turnstile = new Turnstile({ callMax: 1000 });
  turnstile.strained();
  expect(turnstile.bound).toBe(900);
  for (let times = 0; times < 50; times++) turnstile.strained();
  expect(turnstile.bound).toBe(256);
  const small = new Turnstile({ callMax: 10 });
  small.strained();
  expect(small.bound).toBe(10);
});

test('tells those whom it refuses different times', () => {
  const times = new Set(Array.from({ length: 16 }, () => noPlace().retryAfterMs));
  expect(times.size).toBe(16);
  expect(Math.min(...(times as Set<number>))).toBeGreaterThanOrEqual(1000);
});
