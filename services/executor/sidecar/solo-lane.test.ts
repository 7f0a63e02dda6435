import { Lane, ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { describe, expect, it } from 'vitest';
import type { LanguageModel } from '../lm/language-model.ts';
import { context, failure, input, useFakePool } from '../test-support/fake-pool.ts';

const open = useFakePool();

describe('a solo worker', () => {
  const alone = { alone: true };

  it('is asked for when a run waits for one, and takes no other run', async () => {
    const { pool, sidecar } = await open([8]);
    const work = pool.run(input({ do: 'echo' }, alone), context());
    await expect.poll(() => Math.max(...sidecar.soloWaiting)).toBe(1);
    const solo = await sidecar.addWorker('solo', 1, Lane.LANE_SOLO);
    expect(await work).toMatchObject({ worker: 'solo', lane: 'solo' });
    const others = await Promise.all(Array.from({ length: 20 }, () => pool.run(input({ do: 'echo' }), context())));
    expect(others.every(({ worker, lane }) => worker === 'w0' && lane === 'shared')).toBe(true);
    expect(solo.count('start')).toBe(1);
    await expect.poll(() => sidecar.soloWaiting.at(-1)).toBe(0);
  });

  it('gets custom code, unless the allow-list says that it may share', async () => {
    const { pool, sidecar } = await open([8]);
    sidecar.sharedNames.push('Kind');
    await sidecar.addWorker('solo', 1, Lane.LANE_SOLO);
    const by = (module: string) => ({ named: { ref: module, program: ProgramDefinition.create({ module }) } });
    await expect
      .poll(async () => (await pool.run(input({ do: 'echo' }, by('python:Kind')), context())).lane)
      .toBe('shared');
    for (const module of ['python:Own', 'best_of_n', 'refine', 'program_of_thought']) {
      expect((await pool.run(input({ do: 'echo' }, by(module)), context())).lane).toBe('solo');
    }
    for (const module of ['predict', 'react', 'multi_chain_comparison']) {
      expect((await pool.run(input({ do: 'echo' }, by(module)), context())).lane).toBe('shared');
    }
  });

  it('that another executor has is waited for, however often it sends a run back', async () => {
    const { pool, sidecar } = await open([8]);
    const solo = await sidecar.addWorker('solo', 1, Lane.LANE_SOLO);
    solo.busy = true;
    const work = pool.run(input({ do: 'echo' }, alone), context());
    for (let offers = 1; offers <= 5; offers += 1) {
      await expect.poll(() => solo.count('start')).toBe(offers);
      if (offers === 5) solo.busy = false;
      solo.say({ $case: 'credit', value: { limit: 1 } });
    }
    expect((await work).worker).toBe('solo');
  });

  it('that dies takes its run with it; of a shared one the run may be repeated alone', async () => {
    const { pool, sidecar } = await open([8]);
    const solo = await sidecar.addWorker('solo', 1, Lane.LANE_SOLO);
    const inQuarantine = failure(pool.run(input({ do: 'hang' }, alone), context()));
    await expect.poll(() => solo.count('start')).toBe(1);
    solo.kill();
    expect((await inQuarantine).metadata.repeat).toBeUndefined();
    const shared = failure(pool.run(input({ do: 'hang' }), context()));
    await expect.poll(() => sidecar.workers[0]!.count('start')).toBe(1);
    sidecar.workers[0]!.kill();
    expect((await shared).metadata.repeat).toBe('alone');
  });

  it('is no place for a repetition of what was shown to the caller already', async () => {
    const lm: LanguageModel = {
      complete(_request, ctx) {
        ctx.onText?.({ field: 'answer', text: 'Ad' });
        return new Promise(() => {});
      },
    };
    const { pool, sidecar } = await open([8], {}, lm);
    const shown: object[] = [];
    const work = failure(pool.run(input({ do: 'ask' }), context({ onText: (text) => shown.push(text) })));
    await expect.poll(() => shown.length).toBe(1);
    sidecar.workers[0]!.kill();
    expect((await work).metadata.repeat).toBeUndefined();
  });
});
