import { ROOT_CONTEXT } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import { Lane, ProgramDefinition } from '@signet/proto/gen/signet/sidecar/v1/sidecar.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import type { LanguageModel } from '../lm/language-model.ts';
import type { ToolCaller } from '../tool/call-tool.ts';
import { type FakeSidecar, fakeToken, startFakeSidecar } from './sidecar.fake.ts';
import { SidecarPool, type SidecarPoolOptions } from './sidecar-pool.ts';
import type { SidecarRunContext, SidecarRunInput, SidecarRunResult } from './sidecar-run.ts';

const exporter = new InMemorySpanExporter();
const tracer = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer('test');
const quiet: LanguageModel = { complete: () => Promise.reject(new Error('no model')) };
const noTools: ToolCaller = { call: async (_tool, name) => `"called ${name}"`, close: async () => {} };
const endpoint = lmEndpoint({ model: 'openai/x', apiBase: 'http://127.0.0.1:1/v1', apiKey: '', constrained: 'none' });

let sidecar: FakeSidecar | undefined;
let pool: SidecarPool | undefined;
afterEach(() => {
  pool?.close();
  sidecar?.close();
  exporter.reset();
});

async function open(credits: number[], options: Partial<SidecarPoolOptions> = {}, lm = quiet, token = fakeToken) {
  sidecar = await startFakeSidecar();
  for (const [at, credit] of credits.entries()) await sidecar.addWorker(`w${at}`, credit);
  const addresses = [{ host: '127.0.0.1', port: sidecar.port }];
  pool = new SidecarPool(
    { lm, tools: noTools, tracer, log: createLogger('test', 'silent'), internalToken: token },
    { addresses, ...options },
  );
  if (token === fakeToken && credits.length > 0) await expect.poll(() => pool?.ready()).toBe(true);
  return { pool, sidecar };
}

function input(inputs: object, more: Partial<SidecarRunInput> = {}): SidecarRunInput {
  const named = { ref: 'r1', program: ProgramDefinition.create({ module: 'predict' }) };
  return {
    named,
    inputsJson: JSON.stringify(inputs),
    lm: endpoint,
    lmOptionsJson: '',
    maxRetries: 2,
    executionId: 'e1',
    tools: new Map(),
    alone: false,
    ...more,
  };
}

function context(more: Partial<SidecarRunContext> = {}): SidecarRunContext {
  return { signal: new AbortController().signal, deadlineMs: Date.now() + 10_000, trace: ROOT_CONTEXT, ...more };
}

function failure(work: Promise<SidecarRunResult>): Promise<AppError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: AppError) => error,
  );
}

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

describe('a tool', () => {
  it('is called here, and its observation goes back', async () => {
    const { pool, sidecar } = await open([8]);
    expect((await pool.run(input({ do: 'tool' }), context())).outputsJson).toBe('{"seen":"called lookup"}');
    expect(sidecar.workers[0]!.count('toolReply')).toBe(1);
  });
});

describe('the pool', () => {
  const ctx = { deadlineMs: Date.now() + 60_000 };

  it('compiles and describes, and says why not', async () => {
    const { pool } = await open([1]);
    expect((await pool.compile(ProgramDefinition.create({ module: 'predict' }), ctx)).dspyProgramId).toBe('predict-1');
    await expect(pool.compile(ProgramDefinition.create({ module: 'nonsense' }), ctx)).rejects.toMatchObject({
      reason: 'MODULE_INVALID',
    });
    expect((await pool.describe('Known', ctx)).signature.instructions).toBe('Do it.');
    await expect(pool.describe('os', ctx)).rejects.toMatchObject({ reason: 'MODULE_INVALID' });
    expect(pool.moduleNames()).toEqual(['Known']);
  });

  it('is not ready when the sidecar does not know its token', async () => {
    const { pool } = await open([8], { unavailableAfterMs: 100 }, quiet, 'wrong');
    expect((await failure(pool.run(input({ do: 'echo' }), context()))).reason).toBe('ENGINE_UNAVAILABLE');
  });

  it('is not there when nobody listens', async () => {
    const { pool, sidecar } = await open([]);
    sidecar.close();
    await expect(pool.compile(ProgramDefinition.create(), ctx)).rejects.toMatchObject({ reason: 'ENGINE_UNAVAILABLE' });
    expect(pool.ready()).toBe(false);
  });

  it('sends heartbeats', { timeout: 15_000 }, async () => {
    const { sidecar } = await open([8]);
    await expect.poll(() => sidecar.workers[0]!.count('heartbeat'), { timeout: 8_000 }).toBeGreaterThan(0);
  });
});
