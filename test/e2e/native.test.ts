import { eventually } from '@signet/kit/testing/eventually.ts';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/http.ts';
import { demand, QA_INPUTS as FIRST_INPUTS, readyProgram } from '../support/programs.ts';
import { whyNoPython } from '../support/python.ts';
import { type ScriptedLm, startScriptedLm } from '../support/scripted-lm.ts';
import { type Stack, startStack } from '../support/stack.ts';

const QA_INPUTS: JsonObject = { ...FIRST_INPUTS, context: [...FIRST_INPUTS.context] };
const missing = whyNoPython();
if (missing !== undefined) console.warn(`the native engine beside Python is left out: ${missing}`);

describe.skipIf(missing !== undefined)('the native engine', () => {
  let stack: Stack;
  let lm: ScriptedLm;
  beforeAll(async () => {
    lm = await startScriptedLm();
    stack = await startStack({ engines: 'python', lm: lm.url });
  });
  afterAll(async () => {
    await stack?.close();
    await lm?.close();
  });
  beforeEach(() => lm.reset());

  const execute = async (slug: unknown, engine: string, inputs: JsonObject = { ...QA_INPUTS }, more: JsonObject = {}) =>
    stack.http.post(`/v1/programs/${slug}:execute`, { inputs, executionOptions: { engine, ...more } });
  const bodies = () => lm.requests.map(({ body }) => body);

  const demos: JsonObject[] = [
    {
      question: 'Who made the engine?',
      context: ['Charles Babbage made it.', 'é «quoted»'],
      answer: 'Babbage',
      confidence: 1,
    },
    { question: 'Only a question', answer: 'and an answer' },
  ];
  const programs: [string, JsonObject][] = [
    ['predict', {}],
    ['chain_of_thought', { module: 'chain_of_thought' }],
    ['predict by JSON', { promptAdapter: 'json' }],
    [
      'instructions, demos and options',
      { instructions: 'Answer\n  tersely.', demos, lmOptions: { temperature: 0.5, maxTokens: 99 } },
    ],
  ];

  it.each(programs)(
    'asks the model for the same bytes as Python and gives the same answer: %s',
    async (_, configuration) => {
      const { slug } = await readyProgram(stack, { adapterType: 'python_port', configuration });
      const python = demand(await execute(slug, 'python'), 200);
      const native = demand(await execute(slug, 'native'), 200);
      expect([python.engine, native.engine]).toEqual(['ENGINE_PYTHON', 'ENGINE_NATIVE']);
      expect(native.outputs).toEqual(python.outputs);
      expect(lm.requests).toHaveLength(2);
      expect(bodies()[1]).toEqual(bodies()[0]);
    },
  );

  it('asks again by the JSON adapter where a reply cannot be read, as DSPy does', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port' });
    for (const engine of ['python', 'native']) {
      lm.enqueue({ kind: 'text', text: 'no sections at all' });
      demand(await execute(slug, engine), 200);
    }
    expect(lm.requests).toHaveLength(4);
    expect(bodies().slice(2)).toEqual(bodies().slice(0, 2));
  });

  it('has DSPy read a reply in doubt, and says so', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port', signatureSpec: 'q -> a: dict[str, int]' });
    const reply = "[[ ## a ## ]]\n{one: 1, 'two': 2\n\n[[ ## completed ## ]]";
    const run = async (engine: string) => {
      lm.enqueue({ kind: 'text', text: reply });
      return demand(await execute(slug, engine, { q: 'count' }), 200);
    };
    const [python, native] = [await run('python'), await run('native')];
    expect(native.outputs).toEqual(python.outputs);
    const { metrics } = demand(await stack.http.get(`/v1/executions/${native.executionId}`), 200);
    expect(metrics).toMatchObject({ handed_over: 1, lm_calls: 1 });
    expect(lm.requests).toHaveLength(2);
  });

  it('renders the very messages that either engine sends', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port', configuration: { demos } });
    demand(await execute(slug, 'python'), 200);
    const sent = bodies()[0]?.messages;
    for (const engine of ['native', 'python']) {
      const shown = await stack.http.post(`/v1/programs/${slug}:renderPrompt`, { inputs: QA_INPUTS, engine });
      expect(demand(shown, 200)).toMatchObject({ messages: sent, predictor: 'predict', version: 1 });
    }
    const unasked = demand(await stack.http.post(`/v1/programs/${slug}:renderPrompt`, { inputs: QA_INPUTS }), 200);
    expect(unasked).toMatchObject({ engine: 'ENGINE_NATIVE', messages: sent });
    expect(lm.requests).toHaveLength(1);
    const wrong = await stack.http.post(`/v1/programs/${slug}:renderPrompt`, { inputs: { question: 7 } });
    expect(wrong).toMatchObject({ status: 400, body: { reason: 'INPUT_INVALID' } });
  });

  it('EXT-04 asks the model once for equal calls where answers are kept', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'native' });
    const ask = () => execute(slug, 'native', { ...QA_INPUTS }, { cache: true });
    const first = demand(await ask(), 200);
    const again = await Promise.all(Array.from({ length: 5 }, ask));
    expect(again.map((answer) => demand(answer, 200).cacheHit)).toEqual([true, true, true, true, true]);
    expect(first.cacheHit).toBe(false);
    expect(lm.requests).toHaveLength(1);
    expect((await execute(slug, 'native')).body.cacheHit).toBe(false);
    expect(lm.requests).toHaveLength(2);
  });

  it('streams field by field what it will answer', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'native' });
    const stream = await stack.sse(`/v1/programs/${slug}:stream`, { inputs: QA_INPUTS });
    const events = await Array.fromAsync(stream.events);
    const text = events.flatMap(({ event, data }) => (event === 'token' && data.field === 'answer' ? [data.text] : []));
    const result = events.find(({ event }) => event === 'result')?.data as JsonObject;
    expect(text.join('')).not.toBe('');
    expect((result.outputs as JsonObject).answer).toBe(text.join(''));
    expect(result.engine).toBe('ENGINE_NATIVE');
  });

  it('fails a reply that cannot be read with the words of DSPy, whichever engine read it', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port' });
    const fail = async (engine: string) => {
      for (const text of ['nothing', 'nothing again']) lm.enqueue({ kind: 'text', text });
      const answer = await execute(slug, engine);
      return { status: answer.status, reason: answer.body.reason, detail: answer.body.detail };
    };
    const python = await fail('python');
    expect(await fail('native')).toEqual(python);
    expect(python).toMatchObject({ status: 502, reason: 'LM_REPLY_UNREADABLE' });
  });

  it('shows the plan of a version and says why one has none', async () => {
    const { slug } = await readyProgram(stack, {
      adapterType: 'python_port',
      configuration: { instructions: 'Shown here.' },
    });
    const version = demand(await stack.http.get(`/v1/programs/${slug}/versions/1`), 200);
    const { promptPlan, nativeFault, dialect } = version.preparation as JsonObject;
    expect(nativeFault).toBe('');
    expect(JSON.stringify(promptPlan)).toContain('Shown here.');
    expect(dialect).toMatchObject({ dspy: '3.4.1', adapter: 'chat' });
    const listed = demand(await stack.http.get(`/v1/programs/${slug}/versions`), 200);
    expect(JSON.stringify(listed)).not.toContain('promptPlan');
  });

  it('ERR-02 serves native what Python cannot while its workers are away, says so, and goes back', async () => {
    const { slug } = await readyProgram(stack, { adapterType: 'python_port' });
    await stack.kill('sidecar');
    await eventually(async () => {
      const { executionId, engine } = demand(
        await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }),
        200,
      );
      expect(engine).toBe('ENGINE_NATIVE');
      const { metrics } = demand(await stack.http.get(`/v1/executions/${executionId}`), 200);
      expect(metrics).toMatchObject({ routing: { strategy: 'python_first', degraded: true } });
    });
    const refused = await execute(slug, 'python', { ...QA_INPUTS }, { timeoutMs: 15_000 });
    expect(refused).toMatchObject({ status: 503, body: { detail: 'Service temporarily unavailable' } });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    await stack.restart('sidecar');
    await eventually(async () => {
      const back = demand(await stack.http.post(`/v1/programs/${slug}:execute`, { inputs: QA_INPUTS }), 200);
      expect(back.engine).toBe('ENGINE_PYTHON');
    }, 30_000);
  }, 90_000);

  it('refuses to initialize a native program that needs Python, with the reason', async () => {
    const body = {
      name: 'needs python',
      adapterType: 'native',
      signatureSpec: 'q -> a',
      configuration: { module: 'program_of_thought' },
    };
    const { slug } = demand(await stack.http.post('/v1/programs', body), 201);
    const program = demand(await stack.http.post(`/v1/programs/${slug}:initialize`), 200);
    expect(program).toMatchObject({ status: 'PROGRAM_STATUS_ERROR' });
    expect(String(program.errorMessage)).toMatch(/^The native engine cannot run it: |Deno/);
  });
});
