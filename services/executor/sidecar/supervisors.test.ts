import { ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { describe, expect, it } from 'vitest';
import { useFakePool } from '../test-support/fake-pool.ts';

const open = useFakePool();

describe('the supervisors of a pool', () => {
  const ctx = { deadlineMs: Date.now() + 60_000 };

  it('compile and describe, and say why not', async () => {
    const { pool } = await open([1]);
    const { supervisors } = pool;
    const fine = await supervisors.compile(ProgramDefinition.create({ module: 'predict' }), ctx);
    expect(fine.dspyProgramId).toBe('predict-1');
    const nonsense = supervisors.compile(ProgramDefinition.create({ module: 'nonsense' }), ctx);
    await expect(nonsense).rejects.toMatchObject({ reason: 'MODULE_INVALID' });
    expect((await supervisors.describe('Known', ctx)).signature.instructions).toBe('Do it.');
    await expect(supervisors.describe('os', ctx)).rejects.toMatchObject({ reason: 'MODULE_INVALID' });
    expect(pool.moduleNames()).toEqual(['Known']);
  });

  it('are not there when nobody listens', async () => {
    const { pool, sidecar } = await open([]);
    sidecar.close();
    await expect(pool.supervisors.compile(ProgramDefinition.create(), ctx)).rejects.toMatchObject({
      reason: 'ENGINE_UNAVAILABLE',
    });
    expect(pool.ready()).toBe(false);
  });
});
