import { describe, expect, it } from 'vitest';
import type { LiveEvent } from '../execution/live.ts';
import { EventQueue } from './event-queue.ts';

const token = (sequence: number, text: string, field = 'answer'): LiveEvent => ({
  kind: 'token',
  sequence,
  predictor: 'predict',
  field,
  text,
});
const state: LiveEvent = { kind: 'state', sequence: 99, status: 'completed' };

describe('an event queue', () => {
  it('hands the first text on at once and joins what follows soon after', async () => {
    const queue = new EventQueue();
    const startMs = performance.now();
    queue.push(token(1, 'one'));
    expect(await queue.next()).toMatchObject({ text: 'one' });
    queue.push(token(2, ' two'));
    const second = queue.next();
    queue.push(token(3, ' three'));
    expect(await second).toMatchObject({ sequence: 3, text: ' two three' });
    expect(performance.now() - startMs).toBeGreaterThan(10);
  });

  it('lets nothing but text wait: a state or the close brings held text with it, in order', async () => {
    const queue = new EventQueue();
    queue.push(token(1, 'one'));
    await queue.next();
    queue.push(token(2, ' two'));
    const held = queue.next();
    queue.push(state);
    expect(await held).toMatchObject({ text: ' two' });
    expect(await queue.next()).toBe(state);
    queue.push(token(3, ' three'));
    const last = queue.next();
    queue.close();
    expect(await last).toMatchObject({ text: ' three' });
    expect(await queue.next()).toBeUndefined();
  });

  it('never joins text of different fields', async () => {
    const queue = new EventQueue();
    queue.push(token(1, 'one'));
    queue.push(token(2, 'sure', 'confidence'));
    queue.push(token(3, ' two'));
    queue.close();
    const texts: string[] = [];
    for (let event = await queue.next(); event !== undefined; event = await queue.next()) {
      if (event.kind === 'token') texts.push(`${event.field} ${event.text}`);
    }
    expect(texts).toEqual(['answer one', 'confidence sure', 'answer  two']);
  });

  it('gives its reader up who has a reason to stop', async () => {
    const queue = new EventQueue();
    let isOver = false;
    const next = queue.next(() => isOver);
    isOver = true;
    queue.nudge();
    expect(await next).toBeUndefined();
  });
});
