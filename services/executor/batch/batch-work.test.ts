import { newId } from '@signet/kit/id.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { describe, expect, it } from 'vitest';
import type { Batch } from './batch.ts';
import { BatchWork } from './batch-work.ts';
import type { ChunkStore, HeldChunk } from './chunk-store.postgres.ts';
import type { ItemEnd } from './open-chunk.ts';

const batch = { id: newId(), concurrency: 8 } as Batch;

/** A batch of these chunks, and its items that run: each ends when the test says so. */
function begin(sizes: readonly number[]) {
  const waiting: HeldChunk[] = sizes.map((size, at) => ({
    batchId: batch.id,
    firstIndex: sizes.slice(0, at).reduce((sum, each) => sum + each, 0),
    token: 1,
    executionIds: Array.from({ length: size }, () => newId()),
    inputs: Array(size).fill('{}'),
    outcomes: Array(size).fill('.'),
  }));
  const running: ((end: ItemEnd) => void)[] = [];
  const told = { over: 0, begun: 0 };
  const chunks: Pick<ChunkStore, 'claim' | 'settle'> = {
    claim: async (_, limit) => waiting.splice(0, limit),
    settle: async () => {},
  };
  const deps = {
    chunks: chunks as ChunkStore,
    places: { free: 256 },
    over: () => void told.over++,
    runItem: () => {
      told.begun++;
      return new Promise<ItemEnd>((resolve) => running.push(resolve));
    },
  };
  const work = new BatchWork(deps, batch);
  return {
    work,
    told,
    end: () => running.shift()!({ outcome: 'c' }),
    allow: (limit: number) => work.allow(limit, performance.now()),
  };
}

describe('one batch in one process', () => {
  it('takes nothing before it was granted places, and runs no more than these', async () => {
    const { work, told, allow } = begin([20]);
    work.refill(true);
    expect(work.wish()).toEqual({ batchId: batch.id, kept: 0, wanted: 8 });
    expect(work.leases()).toEqual([]);
    allow(3);
    await eventually(() => expect(work.size).toBe(3));
    expect([told.begun, work.leases().length]).toEqual([3, 1]);
  });

  it('goes on as it was until its wish is answered, and says so', async () => {
    const { work, told, end, allow } = begin([20]);
    allow(6);
    await eventually(() => expect(work.size).toBe(6));
    expect(work.wish()).toEqual({ batchId: batch.id, kept: 6, wanted: 8 });
    end();
    await eventually(() => expect(told.begun).toBe(7));
    expect(work.size).toBe(6);
  });

  it('keeps no place that it has nothing for', async () => {
    const { work, told, end, allow } = begin([3]);
    allow(8);
    await eventually(() => expect(told.begun).toBe(3));
    end();
    await eventually(() => expect(work.size).toBe(2));
    expect(work.wish()).toEqual({ batchId: batch.id, kept: 2, wanted: 2 });
  });

  it('tells at once when what was more than its share has ended', async () => {
    const { work, told, end, allow } = begin([20]);
    allow(6);
    await eventually(() => expect(work.size).toBe(6));
    expect(work.wish()).toMatchObject({ kept: 6 });
    allow(4);
    end();
    await eventually(() => expect(work.size).toBe(5));
    expect(told.over).toBe(0);
    end();
    await eventually(() => expect(told.over).toBe(1));
    expect(work.wish()).toMatchObject({ kept: 4 });
    allow(4);
    end();
    await eventually(() => expect(told.begun).toBe(7));
    expect([told.over, work.size]).toEqual([1, 4]);
  });

  it('begins nothing on a share that nobody has renewed for long', async () => {
    const { work, told, end, allow } = begin([20]);
    allow(2);
    await eventually(() => expect(work.size).toBe(2));
    work.allow(2, performance.now() - 3_000);
    end();
    await eventually(() => expect(work.size).toBe(1));
    expect(told.begun).toBe(2);
    allow(2);
    expect(told.begun).toBe(3);
  });

  it('leaves who waits alone when nothing is left to take', async () => {
    const { work, told } = begin([]);
    work.refill(true);
    expect([work.isOver, told.over]).toEqual([false, 0]);
    work.refill(false);
    work.refill(false);
    expect([work.isOver, told.over]).toEqual([true, 1]);
    expect(work.wish()).toMatchObject({ wanted: 0, kept: 0 });
  });
});
