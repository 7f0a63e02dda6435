import type { CallContext } from '@signet/kit/call-context.ts';
import { AppError } from '@signet/kit/error/app-error.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sampleProgram, sampleResult, startRig } from '../test-support/owners.ts';

const leaving = new AppError('SHUTTING_DOWN', 'The executor is shutting down', { retryAfterMs: 1000 });

describe('a call to a replica that goes away', () => {
  let rig: Awaited<ReturnType<typeof startRig>>;
  beforeAll(async () => {
    rig = await startRig();
  });
  beforeEach(() => rig.reset());
  afterAll(() => rig.close());

  const refuseFirst = <T>(times: number, then: () => T): (() => Promise<T>) => {
    let calls = 0;
    return async () => {
      calls += 1;
      if (calls <= times) throw leaving;
      return then();
    };
  };

  test('is made again where it changes nothing, and nobody is told', async () => {
    rig.answer('GetProgram', refuseFirst(2, sampleProgram));
    expect((await rig.fetch('/v1/programs/p')).status).toBe(200);
    expect(rig.seen).toHaveLength(3);
  });

  test('is not made again where it may change something', async () => {
    rig.answer(
      'ExecuteProgram',
      refuseFirst(1, () => sampleResult('{}')),
    );
    const answer = await rig.fetch('/v1/programs/qa:execute', { method: 'POST', body: '{"inputs":{}}' });
    expect([answer.status, ((await answer.json()) as { reason: string }).reason]).toEqual([503, 'SHUTTING_DOWN']);
    expect(rig.seen).toHaveLength(1);
  });

  test('is given up after a while', async () => {
    rig.answer('GetProgram', refuseFirst(1000, sampleProgram));
    const answer = await rig.fetch('/v1/programs/p');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(rig.seen.length).toBeLessThan(30);
  });

  test('is not made again by a stream that has told something', async () => {
    let calls = 0;
    rig.answer('WatchExecution', async function* (_request: never, _ctx: CallContext) {
      calls += 1;
      if (calls === 1) throw leaving;
      yield { sequence: 1n, executionId: 'x', event: { $case: 'state', value: { status: 2 } } };
      throw leaving;
    });
    const answer = await rig.fetch('/v1/executions/01890000-0000-7000-8000-000000000000:watch');
    expect(await answer.text()).toMatch(/event: state\n[\s\S]*event: error\ndata: .*SHUTTING_DOWN/);
    expect(calls).toBe(2);
  });

  test('ends when its caller goes away between two attempts', async () => {
    rig.answer('GetProgram', refuseFirst(1000, sampleProgram));
    const gone = AbortSignal.timeout(200);
    await expect(rig.fetch('/v1/programs/p', { signal: gone })).rejects.toThrow();
    const seen = rig.seen.length;
    // As long as all attempts of the first call would have taken.
    rig.answer('ListPrograms', refuseFirst(1000, sampleProgram));
    expect((await rig.fetch('/v1/programs')).status).toBe(503);
    const ofFirst = rig.seen.filter(({ method }) => method === 'GetProgram');
    expect(ofFirst.length).toBeLessThanOrEqual(seen + 1);
  });
});
