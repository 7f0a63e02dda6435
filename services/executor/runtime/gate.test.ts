import { describe, expect, it } from 'vitest';
import { Gate } from './gate.ts';

describe('gate', () => {
  it('refuses who comes when all places are taken, and says when to come again', () => {
    const gate = new Gate(2);
    gate.enter();
    gate.enter();
    expect(() => gate.enter()).toThrow(expect.objectContaining({ reason: 'QUEUE_FULL', retryAfterMs: 1000 }));
    gate.leave();
    expect(() => gate.enter()).not.toThrow();
  });

  it('closes when all have left, lets nobody in meanwhile, and says so when some stay too long', async () => {
    const gate = new Gate(2);
    gate.enter();
    const closing = gate.close(5_000);
    expect(() => gate.enter()).toThrow(expect.objectContaining({ reason: 'SHUTTING_DOWN' }));
    gate.leave();
    expect(await closing).toBe(true);
    const busy = new Gate(1);
    busy.enter();
    expect(await busy.close(10)).toBe(false);
  });
});
