import { describe, expect, it } from 'vitest';
import type { LanguageModel } from '../lm/language-model.ts';
import { context, failure, input, quiet, useFakePool } from '../test-support/fake-pool.ts';

const open = useFakePool();

describe('a run', () => {
  it('comes back with the very text of its outputs, its steps and its worker', async () => {
    const { pool } = await open([8]);
    const steps: string[] = [];
    const run = input({ do: 'echo' }, { inputsJson: '{"do":"echo","n":9007199254740993,"f":1.0}' });
    const result = await pool.run(run, context({ onStep: (step) => steps.push(`${step.name} ${step.status}`) }));
    expect(result).toMatchObject({ outputsJson: run.inputsJson, lmCalls: 1, ownUs: 42, worker: 'w0' });
    expect(steps).toEqual(['predict started']);
  });

  it('names its program once a session, and goes to the worker with the least to do', async () => {
    const { pool, sidecar } = await open([8, 8]);
    await expect.poll(() => sidecar.workers.map((worker) => worker.count('hello'))).toEqual([1, 1]);
    const hanging = Array.from({ length: 6 }, () => failure(pool.run(input({ do: 'hang' }), context())));
    await expect.poll(() => sidecar.workers.map((worker) => worker.count('start'))).toEqual([3, 3]);
    expect(sidecar.workers.map((worker) => worker.count('define'))).toEqual([1, 1]);
    pool.close();
    expect((await Promise.all(hanging)).map((error) => error.reason)).toEqual(Array(6).fill('SHUTTING_DOWN'));
  });

  it('shares messages with the others of its turn', async () => {
    const { pool, sidecar } = await open([1000]);
    await Promise.all(Array.from({ length: 200 }, () => pool.run(input({ do: 'echo' }), context())));
    expect(Math.max(...sidecar.workers[0]!.batches)).toBeGreaterThan(100);
  });

  it('carries five megabytes each in messages that the transport takes', async () => {
    const { pool } = await open([8]);
    const big = input({ do: 'echo', text: 'x'.repeat(5_000_000) });
    const results = await Promise.all(Array.from({ length: 6 }, () => pool.run(big, context())));
    expect(results.every((result) => result.outputsJson === big.inputsJson)).toBe(true);
  });

  it('waits for a place and never exceeds the credit', async () => {
    const { pool, sidecar } = await open([2]);
    const control = new AbortController();
    const first = [0, 1].map(() => failure(pool.run(input({ do: 'hang' }), context({ signal: control.signal }))));
    const waiting = pool.run(input({ do: 'echo' }), context());
    await expect.poll(() => sidecar.workers[0]!.count('start')).toBe(2);
    control.abort();
    expect((await Promise.all(first)).map((error) => error.reason)).toEqual(['CANCELLED', 'CANCELLED']);
    expect((await waiting).queueMs).toBeGreaterThan(0);
  });

  it('is refused when too many wait', async () => {
    const { pool } = await open([0], { waitingMax: 2 });
    const waiting = [0, 1].map(() => failure(pool.run(input({ do: 'echo' }), context())));
    const error = await failure(pool.run(input({ do: 'echo' }), context()));
    expect([error.reason, error.retryAfterMs]).toEqual(['QUEUE_FULL', 1000]);
    pool.close();
    await Promise.all(waiting);
  });

  it('ends at its deadline although the worker says nothing, and the worker is told', async () => {
    const { pool, sidecar } = await open([8]);
    const work = failure(pool.run(input({ do: 'hang' }), context({ deadlineMs: Date.now() + 150 })));
    expect((await work).reason).toBe('DEADLINE_EXCEEDED');
    await expect.poll(() => sidecar.workers[0]!.count('cancel')).toBe(1);
    expect((await failure(pool.run(input({ do: 'echo' }), context({ deadlineMs: Date.now() - 1 })))).reason).toBe(
      'DEADLINE_EXCEEDED',
    );
  });

  it('fails with what the worker says, and with INTERNAL for what a worker may not say', async () => {
    const { pool } = await open([8]);
    const raised = await failure(pool.run(input({ do: 'raise', reason: 'MODULE_FAILED' }), context()));
    expect(raised).toMatchObject({ reason: 'MODULE_FAILED', pythonType: 'ValueError', traceback: 'Traceback' });
    for (const reason of ['NONSENSE', 'INTERNAL', 'INVALID_REQUEST', '__proto__']) {
      const error = await failure(pool.run(input({ do: 'raise', reason }), context()));
      expect([error.reason, error.message]).toEqual(['INTERNAL', 'An unexpected error occurred']);
    }
  });

  it('moves on when a worker sends it back unbegun, and gives up when all do', async () => {
    const { pool, sidecar } = await open([8]);
    const back = failure(
      pool.run(input({ do: 'raise', reason: 'SHUTTING_DOWN' }), context({ deadlineMs: Date.now() + 8_000 })),
    );
    await expect.poll(() => sidecar.workers[0]!.count('start')).toBe(1);
    for (const name of ['a', 'b', 'c']) await sidecar.addWorker(name);
    expect((await back).reason).toBe('ENGINE_UNAVAILABLE');
    expect(sidecar.workers.map((worker) => worker.count('start'))).toEqual([1, 1, 1, 1]);
  });
});

describe('a call of the language model', () => {
  const completion = { text: 'Ada', streamed: true, promptTokens: 3, completionTokens: 5, finishReason: 'stop' };

  it('is asked here, shows its text and counts its tokens', async () => {
    const shown: object[] = [];
    const asked: object[] = [];
    const lm: LanguageModel = {
      async complete(request, ctx) {
        asked.push(request.options);
        ctx.onText?.({ field: 'answer', text: 'Ada' });
        return completion;
      },
    };
    const { pool } = await open([8], {}, lm);
    const asking = input({ do: 'ask' }, { lmOptionsJson: '{"temperature":0.25}' });
    const result = await pool.run(asking, context({ onText: (text) => shown.push(text) }));
    expect(result).toMatchObject({ outputsJson: '{"answer":"Ada"}', promptTokens: 3, completionTokens: 5 });
    expect(shown).toEqual([{ predictor: 'predict', field: 'answer', text: 'Ada' }]);
    expect(asked).toEqual([{ temperature: 0.25 }]);
  });

  it('is cancelled with its run', async () => {
    let signal: AbortSignal | undefined;
    const lm: LanguageModel = {
      complete(_request, ctx) {
        signal = ctx.signal;
        return new Promise(() => {});
      },
    };
    const { pool } = await open([8], {}, lm);
    const control = new AbortController();
    const work = failure(pool.run(input({ do: 'ask' }), context({ signal: control.signal })));
    await expect.poll(() => signal).toBeDefined();
    control.abort();
    expect((await work).reason).toBe('CANCELLED');
    expect(signal?.aborted).toBe(true);
  });

  it('fails its run with all that is known here', async () => {
    const { AppError: Failure } = await import('@signet/kit/error/app-error.ts');
    const lm: LanguageModel = {
      complete: () => Promise.reject(new Failure('LM_RATE_LIMITED', 'slow down', { retryAfterMs: 7000 })),
    };
    const { pool } = await open([8], {}, lm);
    expect(await failure(pool.run(input({ do: 'ask' }), context()))).toMatchObject({
      reason: 'LM_RATE_LIMITED',
      retryAfterMs: 7000,
    });
    const none = await failure(pool.run(input({ do: 'ask' }, { lm: undefined }), context()));
    expect(none.reason).toBe('LM_NOT_CONFIGURED');
  });
});

describe('a tool', () => {
  it('is called here, and its observation goes back', async () => {
    const { pool, sidecar } = await open([8]);
    expect((await pool.run(input({ do: 'tool' }), context())).outputsJson).toBe('{"seen":"called lookup"}');
    expect(sidecar.workers[0]!.count('toolReply')).toBe(1);
  });
});

describe('the pool', () => {
  it('is not ready when the sidecar does not know its token', async () => {
    const { pool } = await open([8], { unavailableAfterMs: 100 }, quiet, 'wrong');
    expect((await failure(pool.run(input({ do: 'echo' }), context()))).reason).toBe('ENGINE_UNAVAILABLE');
  });
});
