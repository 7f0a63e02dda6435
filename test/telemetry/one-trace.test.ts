import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Span } from '../../services/local/otlp.ts';
import { startTraceReceiver, type TraceReceiver } from '../../services/local/trace-receiver.ts';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const missing = whyNoPython();
if (missing !== undefined) console.warn(`the trace over all processes is left out: ${missing}`);

describe.skipIf(missing !== undefined)('one trace', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  let receiver: TraceReceiver;
  let slug = '';
  beforeAll(async () => {
    [lm, receiver] = await Promise.all([startScriptedLm(), startTraceReceiver()]);
    stack = await startStack({
      engines: 'python',
      lm: lm.url,
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_TRACES_SAMPLER: 'always_on' },
    });
    slug = String((await readyProgram(stack, { adapterType: 'python_port', slug: 'traced' })).slug);
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
    await receiver?.close();
  });

  /** A key that the gateway has not seen yet, so that it asks the registry. */
  const freshKey = async (): Promise<string> =>
    String(demand(await stack.http.post('/v1/apiKeys', { name: 'fresh', role: 'runner' }), 201).secret);

  const traceOf = async (traceId: unknown, count: number): Promise<Span[]> => {
    const spans = await receiver.waitFor(String(traceId), (seen) => seen.length >= count, 10_000);
    // Later ones would be too many: the exporters send twice a second.
    return receiver.waitFor(String(traceId), (seen) => seen.length > Math.max(count, spans.length), 1200);
  };

  it('PIP-08 has a span for each step of a pipeline, below that of the run', async () => {
    const step = (id: string, x: string) => ({ id, type: 'function', function: 'value', input: { x: { $ref: x } } });
    const module = { name: 'traced_module', type: 'predict', pythonModule: 'dspy.Predict', signatureSpec: 'x -> y' };
    demand(await stack.http.post('/v1/modules', module), 201);
    const pipelineSpec = {
      inputs: 'x: str',
      steps: [step('one', 'input.x'), step('two', 'steps.one.x')],
      return: 'two',
    };
    const modules = ['traced_module'];
    const made = demand(
      await stack.http.post('/v1/programs:compose', { slug: 'traced-pipe', modules, pipelineSpec }),
      201,
    );
    demand(await stack.http.post(`/v1/programs/${made.slug}:initialize`), 200);
    const ran = demand(await stack.http.post(`/v1/programs/${made.slug}:run`, { inputs: { x: 'hello' } }), 200);
    const spans = await receiver.waitFor(
      String(ran.traceId),
      (seen) => seen.filter(({ name }) => name.startsWith('execute ')).length >= 3,
      10_000,
    );
    const run = spans.find(({ name }) => name === 'execute traced-pipe')!;
    const steps = spans.filter(({ name }) => name === 'execute function:value');
    expect(steps.map(({ parentSpanId }) => parentSpanId)).toEqual([run.spanId, run.spanId]);
    expect(steps.map(({ attributes }) => attributes['signet.step']).toSorted()).toEqual(['one', 'two']);
  });

  it('joins all four processes and the model in one tree, caller first', async () => {
    const key = await freshKey();
    lm.reset();
    const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await stack.http.post(
      `/v1/programs/${slug}:execute`,
      { inputs: QA_INPUTS },
      { key, headers: { traceparent: parent } },
    );
    const ran = demand(answer, 200);
    expect(ran.traceId).toBe('0af7651916cd43dd8448eb211c80319c');
    expect(answer.headers.traceparent).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    const spans = await traceOf(ran.traceId, 9);
    expect(treeOf(spans, 'b7ad6b7169203331')).toEqual([
      'signet-gateway server POST /v1/programs/{program}:execute',
      '  signet-gateway client signet.internal.v1.RegistryInternalService/AuthenticateKey',
      '    signet-registry server signet.internal.v1.RegistryInternalService/AuthenticateKey',
      '  signet-gateway client signet.v1.RuntimeService/ExecuteProgram',
      '    signet-executor server signet.v1.RuntimeService/ExecuteProgram',
      '      signet-executor internal execute traced',
      '        signet-sidecar server sidecar.run',
      '          signet-sidecar internal Predict',
      '            signet-executor client chat scripted',
    ]);
    const chat = spans.find(({ name }) => name === 'chat scripted');
    expect(lm.requests[0]?.headers.traceparent).toBe(`00-${chat?.traceId}-${chat?.spanId}-01`);
    expect(chat?.attributes).toMatchObject({ 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'scripted' });
    expect(Number(chat?.attributes['gen_ai.usage.input_tokens'])).toBeGreaterThan(0);
    const execute = spans.find(({ name }) => name === 'execute traced');
    expect(execute?.attributes).toMatchObject({ 'signet.execution.id': ran.executionId });
    const door = spans.find(({ name }) => name.startsWith('POST '));
    expect(door?.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/programs/{program}:execute',
    });
    expect(Number(door?.attributes['http.response.status_code'])).toBe(200);
    expect(spans.every(({ startNs, endNs }) => endNs >= startNs)).toBe(true);
  });

  it('joins a detached execution to the call that asked for it', async () => {
    const accepted = demand(await stack.http.post('/v1/executions', { program: slug, inputs: QA_INPUTS }), 202);
    const ended = demand(await stack.http.get(`/v1/executions/${accepted.id}:wait?timeoutMs=10000`), 200);
    expect(ended.traceId).toMatch(/^[0-9a-f]{32}$/);
    const wanted = ['execute traced', 'sidecar.run', 'Predict', 'chat scripted'];
    const isThere = (seen: readonly Span[]) => wanted.every((name) => seen.some((span) => span.name === name));
    const spans = await receiver.waitFor(String(ended.traceId), isThere, 10_000);
    expect(spans.map(({ name }) => name)).toEqual(expect.arrayContaining(wanted));
    const execute = spans.find(({ name }) => name === 'execute traced');
    const isJoined = (execute?.links.length ?? 0) > 0 || (execute?.parentSpanId ?? '') !== '';
    expect(isJoined).toBe(true);
  });

  /** The spans of an execution below its own, by name alone, with what stands between the engines left out. */
  const shapeOf = async (traceId: unknown, count: number): Promise<string[]> => {
    const spans = await traceOf(traceId, count);
    const execute = spans.find(({ name }) => name.startsWith('execute ') && !name.startsWith('execute_tool'))!;
    return shapeBelow(spans, execute.spanId);
  };
  const chatsOf = async (traceId: unknown, count: number) => {
    const spans = (await traceOf(traceId, count)).filter(({ name }) => name.startsWith('chat '));
    return spans.map(({ attributes, kind, service }) => ({
      attributes: Object.keys(attributes).toSorted(),
      kind,
      service,
    }));
  };

  const modules: [string, JsonObject, string[], string[]][] = [
    ['predict', {}, [], ['Predict', '  chat scripted']],
    ['chain_of_thought', { module: 'chain_of_thought' }, [], ['ChainOfThought', '  Predict', '    chat scripted']],
    [
      'chain_of_thought whose first reply cannot be read',
      { module: 'chain_of_thought' },
      ['no sections at all'],
      ['ChainOfThought', '  Predict', '    chat scripted', '    chat scripted'],
    ],
    [
      'multi_chain_comparison',
      { module: 'multi_chain_comparison', moduleConfig: { M: 2 } },
      [],
      [
        'MultiChainComparison',
        '  ChainOfThought',
        '    Predict',
        '      chat scripted',
        '  ChainOfThought',
        '    Predict',
        '      chat scripted',
        '  Predict',
        '    chat scripted',
      ],
    ],
  ];
  it.each(modules)('shows the same spans whichever engine ran: %s', async (_, configuration, replies, shape) => {
    const signatureSpec = 'question: str, context: list[str] -> answer: str';
    const program = await readyProgram(stack, { adapterType: 'python_port', signatureSpec, configuration });
    const run = async (engine: string) => {
      lm.enqueue(...replies.map((text) => ({ kind: 'text' as const, text })));
      const options = { inputs: QA_INPUTS, executionOptions: { engine } };
      return demand(await stack.http.post(`/v1/programs/${program.slug}:execute`, options), 200).traceId;
    };
    const [python, native] = [await run('python'), await run('native')];
    expect(await shapeOf(python, shape.length + 5)).toEqual(shape);
    expect(await shapeOf(native, shape.length + 4)).toEqual(shape);
    expect(await chatsOf(native, shape.length + 4)).toEqual(await chatsOf(python, shape.length + 5));
  });

  it('shows an answer out of the cache as an execution that asked nobody', async () => {
    const run = async () => {
      const executionOptions = { cache: true, engine: 'native' };
      const inputs = { ...QA_INPUTS, question: 'asked twice?' };
      return demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs, executionOptions }), 200);
    };
    await run();
    const again = await run();
    expect(again.cacheHit).toBe(true);
    expect(await shapeOf(again.traceId, 4)).toEqual([]);
    const execute = receiver
      .spans()
      .find(({ traceId, name }) => traceId === again.traceId && name === 'execute traced');
    expect(execute?.attributes).toMatchObject({ 'signet.cache.hit': true, 'signet.engine': 'native' });
  });

  it('marks what failed by its reason and keeps what was sent out of it', async () => {
    lm.enqueue({ kind: 'status', status: 401, message: 'bad key sk-scripted-secret' });
    const failed = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS });
    expect(failed.body.reason).toBe('LM_ERROR');
    const spans = await traceOf(failed.body.traceId, 7);
    const broken = spans.filter(({ status }) => status.code === 'error').map(({ name }) => name);
    for (const name of ['chat scripted', 'execute traced', 'sidecar.run']) expect(broken).toContain(name);
    expect(spans.find(({ name }) => name === 'chat scripted')?.attributes['error.type']).toBe('LM_ERROR');
  });

  it('writes no secret, no input, no output and no prompt into spans, and no secret into logs', async () => {
    const secret = await freshKey();
    const question = 'unmistakable-input-text';
    demand(
      await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { question, context: [] } }, { key: secret }),
      200,
    );
    await stack.http.get('/v1/programs', { key: `${secret}-wrong` });
    await eventually(() => expect(receiver.spans().length).toBeGreaterThan(20));
    const spans = JSON.stringify(receiver.spans(), (_key, value) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    const logs = stack.logs();
    const database = new URL(stack.databaseUrl).password;
    for (const hidden of [
      secret,
      stack.adminKey,
      stack.secretKey,
      stack.internalToken,
      'sk-scripted-secret',
      database,
    ]) {
      expect(spans.includes(hidden)).toBe(false);
      expect(logs.includes(hidden)).toBe(false);
    }
    for (const hidden of [question, 'scripted answer', 'Your input fields are'])
      expect(spans.includes(hidden)).toBe(false);
    expect(logs.includes(question)).toBe(false);
  });

  it('joins the log to the trace by its id', async () => {
    const refused = await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: { question: 7 } });
    const { executionId } = refused.body.metadata as JsonObject;
    await eventually(() => {
      const lines = stack
        .logs()
        .split('\n')
        .filter((line) => line.includes(String(refused.body.traceId)));
      expect(lines.some((line) => line.includes(String(executionId)))).toBe(true);
    });
  });

  it('says why another engine ran it', async () => {
    await stack.kill('sidecar');
    await eventually(async () => {
      const ran = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
      const spans = await traceOf(ran.traceId, 6);
      const execute = spans.find(({ name }) => name === 'execute traced');
      expect(execute?.attributes).toMatchObject({
        'signet.engine': 'native',
        'signet.routing.strategy': 'python_first',
        'signet.routing.degraded': true,
      });
      expect(String(execute?.attributes['signet.routing.reason'])).toMatch(/^python: /);
      expect(shapeBelow(spans, execute!.spanId)).toEqual(['Predict', '  chat scripted']);
    }, 20_000);
  });
});

/** The names of the spans below one, indented; `sidecar.run` counts as the span above it. */
function shapeBelow(spans: readonly Span[], parent: string, depth = 0): string[] {
  return spans
    .filter(({ parentSpanId }) => parentSpanId === parent)
    .toSorted((a, b) => Number(a.startNs - b.startNs))
    .flatMap((span) =>
      span.name === 'sidecar.run'
        ? shapeBelow(spans, span.spanId, depth)
        : [`${'  '.repeat(depth)}${span.name}`, ...shapeBelow(spans, span.spanId, depth + 1)],
    );
}

/** The spans below one as indented lines: service, kind, name; children in the order of their start. */
function treeOf(spans: readonly Span[], parent: string, depth = 0): string[] {
  return spans
    .filter(({ parentSpanId }) => parentSpanId === parent)
    .toSorted((a, b) => Number(a.startNs - b.startNs))
    .flatMap((span) => [
      `${'  '.repeat(depth)}${span.service} ${span.kind} ${span.name}`,
      ...treeOf(spans, span.spanId, depth + 1),
    ]);
}
