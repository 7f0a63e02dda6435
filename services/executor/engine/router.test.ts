import { ROOT_CONTEXT } from '@opentelemetry/api';
import { AppError } from '@signet/kit/error/app-error.ts';
import { describe, expect, it } from 'vitest';
import { programOf } from './engine.suite.ts';
import { type Engine, EngineDeclined, type EngineName, type EngineRun, type RunContext } from './engine.ts';
import { EngineRecord } from './engine-record.ts';
import { type Routed, Router, type RoutingWish } from './router.ts';

const run: EngineRun = { outputsJson: '{"answer":"a"}', lmCalls: 1, tokensIn: 1, tokensOut: 1, queueMs: 0, worker: '' };

/** An engine that does as it is told: each entry of `script` is one run, the last one stays. */
function scripted(name: EngineName, ...script: (EngineRun | Error)[]) {
  const engine = {
    name,
    runs: 0,
    isReady: true,
    ready: () => engine.isReady,
    prepare: () => Promise.reject(new Error('not asked for')),
    run: async () => {
      const next = script[Math.min(engine.runs, script.length - 1)]!;
      engine.runs += 1;
      if (next instanceof Error) throw next;
      return next;
    },
    close: async () => {},
  };
  return engine satisfies Engine & { runs: number; isReady: boolean };
}

const away = new AppError('ENGINE_UNAVAILABLE', 'away', { retryAfterMs: 500 });
const lost = new AppError('WORKER_LOST', 'lost');

const program = (
  more: Partial<Routed> & { module?: string; planJson?: string; nativeFault?: string } = {},
): Routed => ({
  adapterType: 'python_port',
  engineProgram: programOf('question -> answer', {
    module: more.module ?? 'predict',
    planJson: more.planJson ?? '{}',
    nativeFault: more.nativeFault ?? '',
  }),
  moduleSettings: undefined,
  ...more,
});
const hybrid = (routingStrategy: 'native_first' | 'python_first' | 'performance_based') =>
  program({ moduleSettings: { id: 'm', implementation: 'hybrid', routingStrategy } });

function setUp(engines: readonly Engine[], more: { nowMs?: () => number; chance?: () => number } = {}) {
  const router = new Router({ engines: new Map(engines.map((engine) => [engine.name, engine])), ...more });
  const go = (routed: Routed, wish: RoutingWish = {}, ctx: Partial<RunContext> = {}) =>
    router.choose(routed, wish).run(routed.engineProgram, new Map(), '{}', {
      executionId: 'x',
      signal: new AbortController().signal,
      deadlineMs: Date.now() + 5000,
      trace: ROOT_CONTEXT,
      lm: undefined,
      maxRetries: 2,
      wantsText: false,
      ...ctx,
    });
  return { router, go };
}

describe('routing', () => {
  it('EXT-02 takes the engine that the strategy, the module or the call names', async () => {
    const engines = [scripted('python', run), scripted('native', run)];
    const { go } = setUp(engines);
    const served = async (routed: Routed, wish?: RoutingWish) => (await go(routed, wish)).routing?.engine;
    expect(await served(program())).toBe('python');
    expect(await served(program(), { routing_strategy: 'native_first' })).toBe('native');
    expect(await served(hybrid('native_first'))).toBe('native');
    expect(await served(hybrid('native_first'), { routing_strategy: 'python_first' })).toBe('python');
    expect(await served(hybrid('native_first'), { engine: 'python' })).toBe('python');
    expect(await served(program({ adapterType: 'native' }))).toBe('native');
  });

  it('says why it went elsewhere, and that the run is degraded', async () => {
    const { go } = setUp([scripted('python', away), scripted('native', run)]);
    expect((await go(program())).routing).toEqual({
      engine: 'native',
      strategy: 'python_first',
      reason: 'python: ENGINE_UNAVAILABLE',
      degraded: true,
    });
  });

  it('leaves a program without a plan to Python, with the reason', async () => {
    const native = scripted('native', run);
    const { go } = setUp([scripted('python', run), native]);
    const { routing } = await go(program({ planJson: '', nativeFault: 'it has tools' }), {
      routing_strategy: 'native_first',
    });
    expect(routing).toMatchObject({ engine: 'python', reason: 'native: it has tools', degraded: true });
    expect(native.runs).toBe(0);
  });

  it('goes on when an engine declines, and says what cannot be run when there is no other', async () => {
    const declined = new EngineDeclined('native', 'the inputs hold NaN');
    const { go } = setUp([scripted('python', run), scripted('native', declined)]);
    const first = { routing_strategy: 'native_first' } as const;
    expect((await go(program(), first)).routing).toMatchObject({
      engine: 'python',
      reason: 'native: the inputs hold NaN',
    });
    await expect(go(program({ adapterType: 'native' }))).rejects.toMatchObject({
      reason: 'MODULE_INVALID',
      message: 'The native engine cannot run it: the inputs hold NaN',
    });
  });

  it.each([
    ['a module that may have had effects', { module: 'react' }, {}],
    ['text that was shown', {}, { hasShownText: true }],
    ['a call that is not to be repeated', {}, { maxRetries: 0 }],
  ])('does not repeat %s after a worker was lost', async (_, what, ctx) => {
    const native = scripted('native', run);
    const { go } = setUp([scripted('python', lost), native]);
    await expect(go(program(what), {}, ctx)).rejects.toMatchObject({ reason: 'WORKER_LOST' });
    expect(native.runs).toBe(0);
  });

  it('repeats a lost run of a module that only asks the model', async () => {
    const { go } = setUp([scripted('python', lost), scripted('native', run)]);
    expect((await go(program())).routing).toMatchObject({ engine: 'native', reason: 'python: WORKER_LOST' });
  });

  it.each(['LM_UNAVAILABLE', 'LM_REPLY_UNREADABLE', 'MODULE_FAILED', 'INPUT_INVALID', 'DEADLINE_EXCEEDED'] as const)(
    'does not take another engine for %s, which is no fault of the engine',
    async (reason) => {
      const native = scripted('native', run);
      const { go } = setUp([scripted('python', new AppError(reason, 'so it is')), native]);
      await expect(go(program())).rejects.toMatchObject({ reason });
      expect(native.runs).toBe(0);
    },
  );

  it('ERR-02 says that the service is temporarily unavailable when no engine is left, and when to come back', async () => {
    const { go } = setUp([scripted('python', away), scripted('native', away)]);
    await expect(go(program())).rejects.toMatchObject({
      reason: 'ENGINE_UNAVAILABLE',
      message: 'Service temporarily unavailable',
      retryAfterMs: 500,
    });
  });

  it('leaves an engine alone for 30 s after it was away five times, then asks once', async () => {
    let nowMs = 0;
    const python = scripted('python', away, away, away, away, away, run);
    const { go } = setUp([python], { nowMs: () => nowMs });
    for (let n = 0; n < 5; n += 1) await expect(go(program())).rejects.toMatchObject({ reason: 'ENGINE_UNAVAILABLE' });
    await expect(go(program())).rejects.toMatchObject({ retryAfterMs: 30_000 });
    expect(python.runs).toBe(5);
    nowMs = 30_001;
    expect((await go(program())).routing?.engine).toBe('python');
    expect((await go(program())).routing?.engine).toBe('python');
    expect(python.runs).toBe(7);
  });

  it('asks an engine again as soon as it says that it is back', async () => {
    const python = scripted('python', away, away, away, away, away, run);
    const { go } = setUp([python], { nowMs: () => 0 });
    python.isReady = false;
    for (let n = 0; n < 6; n += 1) await expect(go(program())).rejects.toMatchObject({ reason: 'ENGINE_UNAVAILABLE' });
    expect(python.runs).toBe(5);
    python.isReady = true;
    expect((await go(program())).routing?.engine).toBe('python');
  });

  it('passes over an engine that is not there for one that is, and back again', async () => {
    const python = scripted('python', run);
    const { go } = setUp([python, scripted('native', run)]);
    python.isReady = false;
    expect((await go(program())).routing).toMatchObject({
      engine: 'native',
      degraded: true,
      reason: 'python: not there',
    });
    python.isReady = true;
    expect((await go(program())).routing).toMatchObject({ engine: 'python', degraded: false, reason: 'preferred' });
  });

  it('stops when the call does', async () => {
    const native = scripted('native', run);
    const { go } = setUp([scripted('python', away), native]);
    const stopped = AbortSignal.abort(new AppError('CANCELLED', 'stop'));
    await expect(go(program(), {}, { signal: stopped })).rejects.toBeInstanceOf(AppError);
    expect(native.runs).toBe(0);
  });

  it('refuses an engine that the program does not allow', () => {
    const { router } = setUp([scripted('python', run), scripted('mock', run)]);
    const refused = (routed: Routed, wish: RoutingWish) => {
      try {
        router.choose(routed, wish);
        return undefined;
      } catch (error) {
        return (error as AppError).reason;
      }
    };
    expect(refused(program(), { engine: 'mock' })).toBe('INVALID_REQUEST');
    expect(refused(program({ adapterType: 'native' }), { engine: 'python' })).toBe('INVALID_REQUEST');
    expect(refused(program({ adapterType: 'native' }), {})).toBe('ENGINE_UNAVAILABLE');
  });
});

describe('performance-based routing', () => {
  it('EXT-03 begins with native, explores 5 %, and goes where runs are quick and end well', async () => {
    let chance = 0.5;
    const { router, go } = setUp([scripted('python', run), scripted('native', run)], { chance: () => chance });
    const routed = hybrid('performance_based');
    const served = async () => (await go(routed)).routing;
    expect(await served()).toMatchObject({ engine: 'native', reason: 'preferred', degraded: false });
    chance = 0.04;
    expect(await served()).toMatchObject({ engine: 'python', reason: 'explored', degraded: false });
    chance = 0.5;
    const native = router.record('native', routed.engineProgram);
    const python = router.record('python', routed.engineProgram);
    for (let n = 0; n < 50; n += 1) {
      native.succeed(50);
      python.succeed(20);
    }
    expect(await served()).toMatchObject({ engine: 'python' });
    // Ten failures in a hundred double the price of a run, fifty make it six times as dear.
    for (let n = 0; n < 50; n += 1) python.fail();
    expect(await served()).toMatchObject({ engine: 'native' });
  });

  it('forgets what lies a hundred runs back', () => {
    const record = new EngineRecord();
    for (let n = 0; n < 100; n += 1) record.fail();
    expect(record.score).toBe(11_000);
    for (let n = 0; n < 100; n += 1) record.succeed(10);
    expect(record.score).toBeCloseTo(10);
  });
});
