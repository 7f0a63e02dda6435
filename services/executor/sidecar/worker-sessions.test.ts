import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import { describe, expect, it } from 'vitest';
import { context, exporter, failure, input, useFakePool } from '../test-support/fake-pool.ts';

const open = useFakePool();

describe('a lost worker', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

  it('fails its runs and leaves a span; the others go on, and a new worker is found', async () => {
    const { pool, sidecar } = await open([1, 1]);
    const trace = contextFromTraceparent(traceparent);
    const first = pool.run(input({ do: 'hang' }), context({ trace }));
    const lost = failure(first);
    await expect.poll(() => sidecar.workers.filter((worker) => worker.count('start') === 1).length).toBe(1);
    sidecar.workers.find((worker) => worker.count('start') === 1)!.kill();
    expect(await lost).toMatchObject({ reason: 'WORKER_LOST', metadata: { lm_calls: '0' } });
    const [span] = exporter.getFinishedSpans();
    expect([span?.name, span?.spanContext().traceId]).toEqual(['worker_lost', 'a'.repeat(32)]);
    expect((await pool.run(input({ do: 'echo' }), context())).outputsJson).toContain('echo');
    for (const worker of sidecar.workers) worker.kill();
    await expect.poll(() => pool.ready()).toBe(false);
    await sidecar.addWorker('fresh');
    expect((await pool.run(input({ do: 'echo' }), context())).worker).toBe('fresh');
  });

  it('is one that has been silent for too long', async () => {
    const { pool, sidecar } = await open([8], { silentMaxMs: 500 });
    const work = failure(pool.run(input({ do: 'hang' }), context()));
    await expect.poll(() => sidecar.workers[0]!.count('start')).toBe(1);
    sidecar.workers[0]!.frozen = true;
    expect((await work).reason).toBe('WORKER_LOST');
  });

  it('gets no run while it is quiet and another one has room', { timeout: 15_000 }, async () => {
    const { pool, sidecar } = await open([8, 8]);
    const [quietOne] = sidecar.workers;
    await expect.poll(() => sidecar.workers.map((worker) => worker.count('hello'))).toEqual([1, 1]);
    quietOne!.say({ $case: 'heartbeat', value: { busyMs: 9_000n, inFlight: 0, rssBytes: 0n } });
    await pool.run(input({ do: 'echo' }), context());
    await Promise.all(Array.from({ length: 8 }, () => pool.run(input({ do: 'echo' }), context())));
    expect(quietOne!.count('start')).toBeLessThanOrEqual(1);
  });

  it('leaves runs waiting for another one, for a bounded time', async () => {
    const { pool } = await open([], { unavailableAfterMs: 1200 });
    expect((await failure(pool.run(input({ do: 'echo' }), context()))).reason).toBe('ENGINE_UNAVAILABLE');
    expect((await failure(pool.run(input({ do: 'echo' }), context()))).reason).toBe('ENGINE_UNAVAILABLE');
  });

  it('is given runs again when it offers places again', async () => {
    const { pool, sidecar } = await open([8]);
    sidecar.workers[0]!.say({ $case: 'credit', value: { limit: 0 } });
    const work = pool.run(input({ do: 'echo' }), context());
    sidecar.workers[0]!.say({ $case: 'credit', value: { limit: 1 } });
    expect((await work).worker).toBe('w0');
  });
});

describe('a worker that retires', () => {
  it('keeps its session until its last run has ended, and gets no other', async () => {
    const { pool, sidecar } = await open([8]);
    const [old] = sidecar.workers;
    const control = new AbortController();
    const work = failure(pool.run(input({ do: 'hang' }), context({ signal: control.signal })));
    await expect.poll(() => old!.count('start')).toBe(1);
    old!.say({ $case: 'retiring', value: {} });
    await sidecar.addWorker('next');
    await expect.poll(async () => (await pool.run(input({ do: 'echo' }), context())).worker).toBe('next');
    expect(old!.sessions).toBe(1);
    control.abort();
    expect((await work).reason).toBe('CANCELLED');
    await expect.poll(() => old!.sessions).toBe(0);
  });
});

describe('a session', () => {
  it('sends heartbeats', { timeout: 15_000 }, async () => {
    const { sidecar } = await open([8]);
    await expect.poll(() => sidecar.workers[0]!.count('heartbeat'), { timeout: 8_000 }).toBeGreaterThan(0);
  });
});
