import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, test } from 'vitest';
import type { GivenInputs } from '../runtime/call-input.ts';
import type { ExecuteResult } from '../runtime/execute-program.ts';
import { type BatchExecuteDeps, type BatchInput, type BatchOutcome, batchExecute } from './batch-execute.ts';

const ctx = { signal: new AbortController().signal } as CallContext;
const asked = { program: 'qa', options: {}, labels: {}, concurrency: 4 };

function result(text: string): ExecuteResult {
  return { outputsJson: text } as ExecuteResult;
}

/** Runs that end when the test says so. */
function held() {
  const waiting: { text: string; end: (error?: AppError) => void }[] = [];
  const deps: BatchExecuteDeps = {
    plan: async () => 7,
    execute: ({ options }, inputs: GivenInputs) =>
      new Promise((resolve, reject) => {
        const { text } = inputs as { text: string };
        const end = (error?: AppError) =>
          error === undefined ? resolve(result(`${text}@${options.version}`)) : reject(error);
        waiting.push({ text, end });
      }),
  };
  return { deps, waiting };
}

async function* inputs(count: number, read: { count: number }): AsyncGenerator<BatchInput<'json'>, void> {
  for (let index = 0; index < count; index++) {
    read.count++;
    yield { index, inputs: { text: `i${index}` }, kind: 'json' };
  }
}

function gather(outcomes: AsyncIterable<BatchOutcome<'json'>>) {
  const seen: [number, string | undefined][] = [];
  const done = (async () => {
    for await (const { index, result: ended, error } of outcomes)
      seen.push([index, ended?.outputsJson ?? error?.reason]);
  })();
  return { seen, done };
}

describe('a batch that somebody waits for', () => {
  test('PRF-01 runs a bounded number at once, and tells each as it ends, in any order', async () => {
    const { deps, waiting } = held();
    const read = { count: 0 };
    const { seen, done } = gather(batchExecute(deps, { ...asked, items: inputs(6, read) }, ctx));
    await eventually(() => expect(waiting.map(({ text }) => text)).toEqual(['i0', 'i1', 'i2', 'i3']));
    expect(read.count).toBe(4);
    waiting[2]!.end();
    await eventually(() => expect(seen).toEqual([[2, 'i2@7']]));
    await eventually(() => expect(waiting).toHaveLength(5));
    for (let place = 0; place < 6; place++) {
      await eventually(() => expect(waiting.length).toBeGreaterThan(place));
      waiting[place]!.end();
    }
    await done;
    expect(seen.map(([index]) => index).toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('reads nothing further while nobody takes what has ended', async () => {
    const { deps, waiting } = held();
    const read = { count: 0 };
    const outcomes = batchExecute(deps, { ...asked, items: inputs(1_000, read) }, ctx);
    const first = outcomes.next();
    await eventually(() => expect(waiting).toHaveLength(4));
    for (const run of waiting) run.end();
    await first;
    // Nobody asks for the next one: whatever ends is kept, and no more is begun than fits.
    for (let turn = 0; turn < 20; turn++) {
      for (const run of waiting) run.end();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(read.count).toBeLessThanOrEqual(2 * asked.concurrency + 1);
    await outcomes.return();
  });

  test('keeps what failed beside what did not', async () => {
    const { deps, waiting } = held();
    const { seen, done } = gather(batchExecute(deps, { ...asked, items: inputs(3, { count: 0 }) }, ctx));
    await eventually(() => expect(waiting).toHaveLength(3));
    waiting[0]!.end(new AppError('LM_UNAVAILABLE', 'The model is away'));
    waiting[1]!.end();
    waiting[2]!.end(new AppError('INPUT_INVALID', 'does not fit'));
    await done;
    expect(seen.toSorted()).toEqual([
      [0, 'LM_UNAVAILABLE'],
      [1, 'i1@7'],
      [2, 'INPUT_INVALID'],
    ]);
  });

  test('tries again what the service had no room for', async () => {
    const { deps, waiting } = held();
    const { seen, done } = gather(batchExecute(deps, { ...asked, items: inputs(1, { count: 0 }) }, ctx));
    await eventually(() => expect(waiting).toHaveLength(1));
    waiting[0]!.end(new AppError('QUEUE_FULL', 'full'));
    await eventually(() => expect(waiting).toHaveLength(2));
    waiting[1]!.end();
    await done;
    expect(seen).toEqual([[0, 'i0@7']]);
  });

  test('finishes what came before inputs that cannot be read, and then says so', async () => {
    const { deps, waiting } = held();
    async function* broken(): AsyncGenerator<BatchInput<'json'>, void> {
      yield* inputs(2, { count: 0 });
      throw new AppError('INVALID_REQUEST', 'not a message');
    }
    const { seen, done } = gather(batchExecute(deps, { ...asked, items: broken() }, ctx));
    const refused = expect(done).rejects.toMatchObject({ reason: 'INVALID_REQUEST' });
    await eventually(() => expect(waiting).toHaveLength(2));
    for (const run of waiting) run.end();
    await refused;
    expect(seen).toHaveLength(2);
  });

  test('ends with SHUTTING_DOWN when the service closes, and reads no more', async () => {
    const { deps, waiting } = held();
    const read = { count: 0 };
    const { seen, done } = gather(batchExecute(deps, { ...asked, items: inputs(100, read) }, ctx));
    const refused = expect(done).rejects.toMatchObject({ reason: 'SHUTTING_DOWN' });
    await eventually(() => expect(waiting).toHaveLength(4));
    waiting[0]!.end(new AppError('SHUTTING_DOWN', 'closing'));
    for (const run of waiting.slice(1)) run.end();
    await refused;
    expect([seen.length, read.count]).toEqual([3, 4]);
  });

  test.each([
    [{ concurrency: 257 }, 'concurrency'],
    [{ concurrency: -1 }, 'concurrency'],
    [{ options: { shadow: 'native' as const } }, 'execution_options.shadow'],
  ])('refuses %j', async (more, field) => {
    const { deps } = held();
    const outcomes = batchExecute(deps, { ...asked, ...more, items: inputs(1, { count: 0 }) }, ctx);
    await expect(outcomes.next()).rejects.toMatchObject({ reason: 'INVALID_REQUEST', metadata: { field } });
  });
});
