import { createNoopMeter, ROOT_CONTEXT, type Tracer } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { parseAddresses } from '@signet/kit/config/env.ts';
import type { AppError } from '@signet/kit/error/app-error.ts';
import { createLogger } from '@signet/kit/log/logger.ts';
import { contextFromTraceparent } from '@signet/kit/telemetry/traceparent.ts';
import { eventually } from '@signet/kit/testing/eventually.ts';
import { JsonNumber } from '@signet/signature/json.ts';
import { parseSpec } from '@signet/signature/parser.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { whyNoPython } from '../../../test/support/python.ts';
import { type PythonSidecar, startPythonSidecar } from '../../../test/support/python-sidecar.ts';
import { type ScriptedLm, type SeenRequest, startScriptedLm } from '../../../test/support/scripted-lm.ts';
import { engineSuite } from '../engine/engine.suite.ts';
import type { Engine, EngineProgram, EngineRun, LmEndpoint, RunContext } from '../engine/engine.ts';
import { lmEndpoint } from '../engine/lm-endpoint.ts';
import { createLmClient, type LmClient } from '../lm/lm-client.ts';
import { createToolCaller } from '../tool/call-tool.ts';
import { createPythonEngine } from './python-engine.ts';
import { SidecarPool } from './sidecar-pool.ts';

const meter = createNoopMeter();
const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const inputsJson = '{"question":"Who wrote the first program?","context":["Ada Lovelace did."]}';

if (whyNoPython() !== undefined) console.warn(`skipped: ${whyNoPython()}`);

describe.skipIf(whyNoPython() !== undefined)('on real DSPy', () => {
  engineSuite('python', async () => {
    const tracer = new TracerProvider({}).getTracer('test');
    const isSlow = ({ body }: SeenRequest): boolean => /\n(?:slow|late)\n/.test(String(body.messages?.at(-1)?.content));
    const lm = await startScriptedLm({ behaviour: (seen) => ({ kind: isSlow(seen) ? 'silence' : 'answer' }) });
    const client = createLmClient({ tracer });
    const sidecar = await startPythonSidecar({ workers: 1 });
    const engine = createPythonEngine({ pool: await openPool(sidecar, client, tracer), meter });
    return {
      engine,
      lm: lmEndpoint({ model: 'openai/x', apiBase: lm.url, apiKey: '', constrained: 'none' }),
      slow: (program) => program,
      async close() {
        await engine.close();
        await Promise.all([client.close(), lm.close(), sidecar.stop()]);
      },
    };
  });
});

describe.skipIf(whyNoPython() !== undefined)('programs on real DSPy', { timeout: 30_000 }, () => {
  const exporter = new InMemorySpanExporter();
  const tracer = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }).getTracer('test');
  let lm: ScriptedLm;
  let client: LmClient;
  let sidecar: PythonSidecar;
  let pool: SidecarPool;
  let engine: Engine;

  beforeAll(async () => {
    lm = await startScriptedLm();
    client = createLmClient({ tracer });
    sidecar = await startPythonSidecar({ workers: 1 });
    pool = await openPool(sidecar, client, tracer);
    engine = createPythonEngine({ pool, meter });
  }, 40_000);
  afterEach(() => {
    lm.reset();
    exporter.reset();
  });
  afterAll(async () => {
    await engine.close();
    await Promise.all([client.close(), lm.close()]);
    await sidecar.stop();
  });

  type Shape = Partial<Pick<EngineProgram, 'module' | 'promptAdapter' | 'ref'>> & { spec?: string };

  function program(shape: Shape): EngineProgram {
    return {
      ...{ programId: 'p', slug: 'qa', version: 1, ref: shape.ref ?? JSON.stringify(shape) },
      signature: parseSpec(shape.spec ?? 'question: str, context: list[str] -> answer: str, confidence: float'),
      ...{ module: shape.module ?? 'predict', promptAdapter: shape.promptAdapter ?? 'chat' },
      ...{ instructions: '', demosJson: [], lmOptions: new Map([['temperature', new JsonNumber('0.25')]]) },
      ...{ planJson: '', nativeFault: '' },
    };
  }

  function run(shape: Shape = {}, more: Partial<RunContext> = {}, inputs = inputsJson): Promise<EngineRun> {
    return engine.run(program(shape), new Map(), inputs, {
      ...{ executionId: 'e1', maxRetries: 0, lm: endpoint('none'), wantsText: more.onEvent !== undefined },
      ...{ signal: new AbortController().signal, deadlineMs: Date.now() + 20_000 },
      trace: contextFromTraceparent(traceparent),
      ...more,
    });
  }

  function endpoint(constrained: LmEndpoint['constrained']): LmEndpoint {
    return lmEndpoint({ model: 'openai/gpt-x', apiBase: lm.url, apiKey: 'sk-secret', constrained });
  }

  function failure(work: Promise<unknown>): Promise<AppError> {
    return work.then(
      () => expect.fail('it did not fail'),
      (error: AppError) => error,
    );
  }

  it('prepares a program, and says of one that cannot be built why', async () => {
    const ctx = { signal: new AbortController().signal, deadlineMs: Date.now() + 20_000, trace: ROOT_CONTEXT };
    const prepared = await engine.prepare(program({}), ctx);
    expect(prepared.dspyProgramId).not.toBe('');
    expect(prepared.dialect).toMatchObject({ dspy: '3.4.1', json_repair: '0.64.5', adapter: 'chat' });
    const fault = await failure(engine.prepare(program({ module: 'os.system' }), ctx));
    expect(fault.reason).toBe('MODULE_INVALID');
  });

  it.each<[string, 'chat' | 'json', string]>([
    ['predict', 'chat', '{"answer": "scripted answer", "confidence": 0.5}'],
    ['predict', 'json', '{"answer": "scripted answer", "confidence": 0.5}'],
    ['chain_of_thought', 'chat', '{"reasoning": "scripted reasoning", "answer": "scripted answer", "confidence": 0.5}'],
  ])(
    'runs %s with the %s adapter, and its call belongs to the caller’s trace',
    async (module, promptAdapter, outputs) => {
      const result = await run({ module, promptAdapter });
      expect(JSON.parse(result.outputsJson)).toEqual(JSON.parse(outputs));
      expect(result.lmCalls).toBe(1);
      expect(result.tokensIn).toBeGreaterThan(0);
      expect(lm.requests[0]?.headers.traceparent).toContain('a'.repeat(32));
      expect(lm.requests[0]?.body).toMatchObject({ model: 'gpt-x', temperature: 0.25 });
      expect(exporter.getFinishedSpans().map((span) => span.name)).toEqual(['chat gpt-x']);
    },
  );

  it('streams the text that the outputs then hold', async () => {
    let text = '';
    const steps: string[] = [];
    lm.enqueue({
      kind: 'text',
      text: '[[ ## answer ## ]]\n  Ada\nLovelace \n\n[[ ## confidence ## ]]\n1\n\n[[ ## completed ## ]]',
      gapMs: 1,
    });
    const result = await run(
      {},
      {
        onEvent(event) {
          if (event.kind === 'token') text += event.text;
          else steps.push(`${event.step} ${event.status}`);
        },
      },
    );
    expect(JSON.parse(result.outputsJson)).toEqual({ answer: text, confidence: 1 });
    expect(text).toBe('Ada\nLovelace');
    expect(steps).toEqual(['predict started', 'predict completed']);
  });

  it('keeps every digit of a number, both ways', async () => {
    lm.enqueue({
      kind: 'text',
      text: '[[ ## m ## ]]\n123456789012345678901234567890\n\n[[ ## f ## ]]\n1.0\n\n[[ ## completed ## ]]',
    });
    const result = await run({ spec: 'n: int -> m: int, f: float' }, {}, '{"n":9007199254740993}');
    expect(result.outputsJson).toMatch(/"m": ?123456789012345678901234567890, ?"f": ?1\.0\b/);
    expect(JSON.stringify(lm.requests[0]?.body.messages)).toContain('9007199254740993');
  });

  it('asks again in JSON when a reply cannot be read, but not once text was shown', async () => {
    lm.enqueue({ kind: 'text', text: 'no format at all' });
    expect((await run()).lmCalls).toBe(2);
    lm.reset();
    lm.enqueue({
      kind: 'text',
      text: '[[ ## answer ## ]]\nAda\n\n[[ ## confidence ## ]]\nnot a number\n\n[[ ## completed ## ]]',
    });
    expect((await failure(run({}, { onEvent: () => {} }))).reason).toBe('LM_REPLY_UNREADABLE');
    expect(lm.calls).toBe(1);
  });

  it('fails by the reason of the endpoint', async () => {
    const empty = { kind: 'text', text: '' } as const;
    lm.enqueue(
      { kind: 'status', status: 429, retryAfter: '9' },
      { kind: 'status', status: 500 },
      { kind: 'status', status: 401 },
    );
    expect(await failure(run())).toMatchObject({ reason: 'LM_RATE_LIMITED', retryAfterMs: 9000 });
    expect((await failure(run())).reason).toBe('LM_UNAVAILABLE');
    expect((await failure(run())).reason).toBe('LM_ERROR');
    lm.enqueue({ kind: 'raw', writes: ['<html>'] });
    expect((await failure(run())).reason).toBe('LM_REPLY_UNREADABLE');
    lm.enqueue(empty, empty);
    expect((await failure(run())).reason).toBe('LM_REPLY_UNREADABLE');
    lm.enqueue({ kind: 'chunks', chunks: ['[[ ## answer ## ]]\nAda', ' x', 'y'], breakAfter: 2 });
    expect((await failure(run({}, { onEvent: () => {} }))).reason).toBe('LM_REPLY_UNREADABLE');
  });

  it('survives a reply of three megabytes and one of control characters', async () => {
    const text = `${'x'.repeat(3_000_000)}\u0001\u0007`;
    lm.enqueue({ kind: 'text', text: `[[ ## answer ## ]]\n${text}\n[[ ## confidence ## ]]\n1\n[[ ## completed ## ]]` });
    expect(JSON.parse((await run()).outputsJson).answer).toBe(text);
  });

  it('leads an endpoint by a grammar', async () => {
    await run({}, { lm: endpoint('grammar') });
    expect(String(lm.requests[0]?.body.grammar)).toContain('root ::= "[[ ## answer ## ]]\\n" line');
    expect(lm.requests[0]?.body.max_tokens).toBe(256);
  });

  it('cancels down to the socket of the model', async () => {
    lm.enqueue({ kind: 'silence' });
    const control = new AbortController();
    const work = failure(run({}, { signal: control.signal }));
    await expect.poll(() => lm.calls).toBe(1);
    control.abort();
    expect((await work).reason).toBe('CANCELLED');
    await expect.poll(() => lm.requests[0]?.closedByClient).toBe(true);
    expect((await run()).lmCalls).toBe(1);
  });

  it('loses the run of a killed worker, says so in the trace, and goes on with a fresh one', async () => {
    lm.enqueue({ kind: 'silence' });
    const work = failure(run());
    await expect.poll(() => lm.calls).toBe(1);
    process.kill(pool.workers()[0]!.pid, 'SIGKILL');
    expect((await work).reason).toBe('WORKER_LOST');
    expect(exporter.getFinishedSpans().map((span) => span.name)).toContain('worker_lost');
    expect((await run()).lmCalls).toBe(1);
  });

  it('runs 200 at once', async () => {
    const results = await Promise.all(Array.from({ length: 200 }, () => run()));
    expect(results.every((result) => result.lmCalls === 1)).toBe(true);
    expect(lm.calls).toBe(200);
  });
});

async function openPool(sidecar: PythonSidecar, lm: LmClient, tracer: Tracer): Promise<SidecarPool> {
  const tools = createToolCaller({ tracer }, { allowPrivate: true });
  const deps = { lm, tools, tracer, log: createLogger('test', 'silent'), internalToken: sidecar.token };
  const pool = new SidecarPool(deps, { addresses: parseAddresses(sidecar.address)! });
  await eventually(() => expect(pool.ready()).toBe(true), 20_000);
  return pool;
}
