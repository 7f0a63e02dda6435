import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { AppError } from './error/app-error.ts';
import { pause, pauseOrThrow } from './pause.ts';

const minute = 60_000;
const late = new AppError('DEADLINE_EXCEEDED', 'too late');

describe.each([
  ['pause', pause],
  ['pauseOrThrow', pauseOrThrow],
])('%s', (_name, wait) => {
  it('waits as long as it is told, and leaves nothing at the signal', async () => {
    const { signal } = new AbortController();
    const beginMs = performance.now();
    await wait(30, signal);
    // The clock of timers may be a millisecond ahead.
    expect(performance.now() - beginMs).toBeGreaterThan(28);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a pause whose signal is aborted', () => {
  it.each([
    ['before it', () => AbortSignal.abort(late)],
    ['while it waits', () => abortedSoon(late)],
  ])('ends at once %s, or throws the reason', async (_when, aborted) => {
    await pause(minute, aborted());
    await expect(pauseOrThrow(minute, aborted())).rejects.toBe(late);
  });

  it('is CANCELLED where the reason is not ours', async () => {
    for (const signal of [AbortSignal.abort(), AbortSignal.abort('gone'), abortedSoon(new Error('internal detail'))]) {
      await expect(pauseOrThrow(minute, signal)).rejects.toMatchObject({ reason: 'CANCELLED' });
    }
  });
});

function abortedSoon(reason: unknown): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 10);
  return controller.signal;
}
