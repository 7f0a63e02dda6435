import { describe, expect, it } from 'vitest';
import { PendingAnswers } from './pending-answers.ts';

function answer() {
  const sent = Promise.withResolvers<void>();
  const kept = Promise.withResolvers<void>();
  return { sent: sent.promise, kept: kept.promise, leave: sent.resolve, arrive: kept.resolve };
}

/** Whether something has resolved by now. */
async function isOver(promise: Promise<void>): Promise<boolean> {
  let over = false;
  void promise.then(() => {
    over = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return over;
}

describe('answers that are being kept', () => {
  it('let a model be asked at once where nothing is under way', async () => {
    const pending = new PendingAnswers();
    expect(pending.ready()).toBeUndefined();
    const one = answer();
    pending.add(one);
    one.leave();
    one.arrive();
    await one.kept;
    expect(pending.ready()).toBeUndefined();
  });

  it('let a model be asked once all of them are on their way', async () => {
    const pending = new PendingAnswers();
    const [one, two] = [answer(), answer()];
    pending.add(one);
    pending.add(two);
    one.leave();
    const ready = pending.ready()!;
    expect(await isOver(ready)).toBe(false);
    two.leave();
    expect(await isOver(ready)).toBe(true);
  });

  it('let no model be asked twice on the strength of an answer that is no more than on its way', async () => {
    const pending = new PendingAnswers();
    const one = answer();
    pending.add(one);
    one.leave();
    await pending.ready();
    const again = pending.ready()!;
    expect(await isOver(again)).toBe(false);
    one.arrive();
    expect(await isOver(again)).toBe(true);
  });

  it('are settled when all are kept', async () => {
    const pending = new PendingAnswers();
    const one = answer();
    pending.add(one);
    one.leave();
    const settled = pending.settled();
    expect(await isOver(settled)).toBe(false);
    one.arrive();
    expect(await isOver(settled)).toBe(true);
  });
});
