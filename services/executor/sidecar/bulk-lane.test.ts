import { Lane, ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { describe, expect, it } from 'vitest';
import { context, input, useFakePool } from '../test-support/fake-pool.ts';
import type { SidecarRunInput } from './sidecar-run.ts';

const openPool = useFakePool();

async function open() {
  const opened = await openPool([8]);
  const begin = (inputs: object, more: Partial<SidecarRunInput> = {}, module = 'predict') => {
    const named = { ref: module, program: ProgramDefinition.create({ module }) };
    return opened.pool.run(input(inputs, { named, ...more }), context());
  };
  return { ...opened, begin };
}

const bulk = { isBulk: true };

describe('a run of a batch or an evaluation', () => {
  it('goes to the cluster, and no other run does', async () => {
    const { sidecar, begin } = await open();
    const far = await sidecar.addWorker('far', 8, Lane.LANE_BULK);
    await expect.poll(async () => (await begin({ do: 'echo' }, bulk)).lane).toBe('bulk');
    const begun = far.count('start');
    const ten = Array.from({ length: 10 }, () => begin({ do: 'echo' }));
    expect((await Promise.all(ten)).every(({ worker }) => worker === 'w0')).toBe(true);
    expect(far.count('start')).toBe(begun);
  });

  it('that executes a user’s code has a worker of the cluster for itself', async () => {
    const { sidecar, begin } = await open();
    await sidecar.addWorker('far', 8, Lane.LANE_BULK);
    await sidecar.addWorker('far alone', 1, Lane.LANE_BULK_SOLO);
    await sidecar.addWorker('alone', 1, Lane.LANE_SOLO);
    await expect.poll(async () => (await begin({ do: 'echo' }, bulk, 'python:Own')).lane).toBe('bulk_solo');
    expect(await begin({ do: 'echo' }, { ...bulk, alone: true })).toMatchObject({ worker: 'far alone' });
    expect(await begin({ do: 'echo' }, {}, 'python:Own')).toMatchObject({ worker: 'alone', lane: 'solo' });
  });

  it('runs here while no cluster is there, and again when it has gone', async () => {
    const { sidecar, begin } = await open();
    expect(await begin({ do: 'echo' }, bulk)).toMatchObject({ worker: 'w0', lane: 'shared' });
    const far = await sidecar.addWorker('far', 1, Lane.LANE_BULK);
    await expect.poll(async () => (await begin({ do: 'echo' }, bulk)).lane).toBe('bulk');
    const lost = begin({ do: 'hang' }, bulk).catch((error) => error);
    await expect.poll(() => far.count('start')).toBeGreaterThan(1);
    const waiting = begin({ do: 'echo' }, bulk);
    far.kill();
    expect(await lost).toMatchObject({ reason: 'WORKER_LOST', metadata: { repeat: 'alone' } });
    expect(await waiting).toMatchObject({ worker: 'w0', lane: 'shared' });
  });

  it('does not make the pool ready by its cluster alone', async () => {
    const { sidecar, pool, begin } = await open();
    await sidecar.addWorker('far', 8, Lane.LANE_BULK);
    await expect.poll(async () => (await begin({ do: 'echo' }, bulk)).lane).toBe('bulk');
    sidecar.workers[0]?.kill();
    await expect.poll(() => pool.ready()).toBe(false);
    expect(await begin({ do: 'echo' }, bulk)).toMatchObject({ worker: 'far' });
  });
});
