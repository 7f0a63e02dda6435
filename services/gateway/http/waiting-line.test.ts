import type { Socket } from 'node:net';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { expect, test } from 'vitest';
import { WaitingLine } from './waiting-line.ts';

class Standing {
  paused = false;
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
}

const stand = (line: WaitingLine, count: number): Standing[] => {
  const all = Array.from({ length: count }, () => new Standing());
  for (const one of all) line.add(one as unknown as Socket);
  return all;
};
const waiting = (all: readonly Standing[]): number => all.filter(({ paused }) => paused).length;

test('nobody waits while few come', () => {
  expect(waiting(stand(new WaitingLine(1_000, 1_000), 5))).toBe(0);
});

test('who comes in a crowd waits its turn, first come first heard', async () => {
  const all = stand(new WaitingLine(1_000, 60_000), 100);
  expect(waiting(all)).toBe(95);
  await eventually(() => {
    const left = waiting(all);
    expect(left).toBeLessThan(60);
    expect(left).toBeGreaterThan(0);
    expect(all.slice(0, 100 - left).every(({ paused }) => !paused)).toBe(true);
  });
  await eventually(() => expect(waiting(all)).toBe(0));
});

test('nobody waits for longer than the bound, however many there are', async () => {
  const begun = performance.now();
  const all = stand(new WaitingLine(200, 100), 5_000);
  await eventually(() => expect(waiting(all)).toBe(0));
  expect(performance.now() - begun).toBeLessThan(2_000);
});
